"""Owns where things lie in a stack's data directory."""

from dataclasses import dataclass
from pathlib import Path

from poolctl.stack.failure import StackError

DEFAULT_DATA_DIRECTORY = Path(".pools")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data directory. What only its owner may read is created 0600."""

    data_dir: Path

    @classmethod
    def at(cls, data_dir: Path | str) -> "Layout":
        return cls(Path(data_dir).absolute())

    def create(self) -> None:
        """Makes the directories; one that is there already keeps its permissions."""
        if self.deployment_file.exists():
            raise StackError(
                f"{self.data_dir} is about a deployment elsewhere, as its {self.deployment_file.name} says.",
                advice="Name another directory with --data-dir to start a stack of your own.",
            )
        try:
            # 0711: PostgreSQL's user must pass through, and has no business seeing what else there is.
            for directory in (self.data_dir, self.postgres, self.kafka):
                directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            for directory in (self.logs, self.spans, self.run):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as failure:
            raise StackError(
                f"The data directory {self.data_dir} cannot be made: {failure.strerror or failure}.",
                advice="Name another with --data-dir.",
            ) from failure

    @property
    def postgres(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def kafka(self) -> Path:
        return self.data_dir / "kafka"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def spans(self) -> Path:
        """The span store that every process of the stack writes to and `poolctl trace` reads."""
        return self.data_dir / "spans"

    @property
    def run(self) -> Path:
        """What is true only while processes run: pid files, the lock, the state."""
        return self.data_dir / "run"

    @property
    def ports_file(self) -> Path:
        return self.data_dir / "ports.json"

    @property
    def secrets_file(self) -> Path:
        return self.data_dir / "secrets.json"

    @property
    def close_signing_key_file(self) -> Path:
        """Beside the database's directory, not in it: who owns the database must not be able to sign for us."""
        return self.data_dir / "close-signing-key.pem"

    @property
    def certificates(self) -> Path:
        """A CA of this stack's own, and a folder for each who has a certificate."""
        return self.data_dir / "certificates"

    @property
    def mtls_file(self) -> Path:
        """Whether the stack was last asked to run with them."""
        return self.data_dir / "mtls.json"

    @property
    def deployment_file(self) -> Path:
        """In place of all the rest: where the services of a deployment elsewhere are reached."""
        return self.data_dir / "deployment.json"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "lock"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def pid_file(self, part: str) -> Path:
        return self.run / f"{part}.pid"
