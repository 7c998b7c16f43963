"""A process that leases and answers without end and says what was acknowledged, until it is killed."""

import sys
import threading
from datetime import UTC, datetime, timedelta

from store_desk import grant, submit

from labelloop.adapters.sql.store import open_store
from labelloop.domain.states import Lane, Role
from labelloop.domain.types import Answer, Candidate

NAME = "demo"


def work(store, who: str, items: list[int]) -> None:
    """Five items a time; each line names leases whose answers are acknowledged."""
    for start in range(0, len(items), 5):
        now = datetime.now(UTC)
        wanted = [Candidate(item=item, lane=Lane.INFORMATIVE) for item in items[start : start + 5]]
        leases = grant(store.ledger, NAME, who, wanted, now=now, expires_at=now + timedelta(hours=1), most=10_000)
        answers = [Answer(lease=lease.id, value="a", label="a") for lease in leases]
        outcomes, _ = submit(store.ledger, NAME, who, answers, now=now, role=Role.ANNOTATOR)
        accepted = [outcome.lease for outcome in outcomes if outcome.outcome == "accepted"]
        sys.stdout.write(" ".join(accepted) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Four annotators, each with items of its own."""
    store = open_store(sys.argv[1])
    start, count = int(sys.argv[2]), int(sys.argv[3])
    for part in range(4):
        items = list(range(start + part, start + count, 4))
        threading.Thread(target=work, args=(store, f"ann{part}", items), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
