"""One driver per folder; each implements ports of `labelloop.ports` and none knows another."""
