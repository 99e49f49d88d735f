"""Lanes: no endpoint takes another's place, whether it is known to be dead or not yet."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.lanes import Lanes


def test_an_endpoint_is_closed_at_its_own_bound_and_opens_again() -> None:
    lanes = Lanes(whole_max=10, endpoint_max=2, slow_max=4)
    lanes.begin("a")
    lanes.begin("a")
    assert (lanes.closed(2), lanes.room) == (["a"], 8)
    lanes.end("a", slow=False)
    assert (lanes.closed(2), lanes.room) == ([], 9)


def test_an_endpoint_that_failed_gets_one_attempt_until_it_answers_well() -> None:
    lanes = Lanes(whole_max=10, endpoint_max=5, slow_max=4)
    lanes.begin("a")
    lanes.end("a", slow=True)
    assert (lanes.narrow(), lanes.closed(5)) == (["a"], [])
    lanes.begin("a")
    assert lanes.closed(5) == ["a"]
    lanes.end("a", slow=False)
    assert (lanes.narrow(), lanes.closed(5)) == ([], [])


def test_slow_endpoints_together_leave_room_for_the_others() -> None:
    lanes = Lanes(whole_max=6, endpoint_max=5, slow_max=3)
    for name in "abcd":
        lanes.begin(name)
        lanes.end(name, slow=True)
    for name in "ab":
        lanes.begin(name)
    lanes.begin("known elsewhere", slow=True)
    assert "d" in lanes.closed(5)
    assert "well" not in lanes.closed(5)
    assert (lanes.room, lanes.slow_room, lanes.wide_room) == (3, 0, 3)


def test_the_more_is_under_way_the_less_each_may_have() -> None:
    lanes = Lanes(whole_max=512, endpoint_max=16, slow_max=256)
    shares = []
    for number in range(40):
        share = lanes.each_max if lanes.wide_room else 0
        shares.append(share)
        for _ in range(share):
            lanes.begin(f"dead {number}")
    assert shares[0] == 16
    assert shares == sorted(shares, reverse=True)
    assert (lanes.wide_room, lanes.room) == (0, 256), "half of the whole is left for first attempts"


Step = tuple[str, bool, bool]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=60))
def test_what_has_begun_and_ended_leaves_all_the_room_there_was(steps: list[Step]) -> None:
    lanes = Lanes(whole_max=100, endpoint_max=5, slow_max=30)
    for name, begun_slow, _ in steps:
        lanes.begin(name, slow=begun_slow)
    for name, _, slow in steps:
        lanes.end(name, slow=slow)
    assert (lanes.room, lanes.slow_room, lanes.wide_room) == (100, 30, 70)
