"""The partner's door: keys, entitlements, the partner API, and the webhooks that go out."""
