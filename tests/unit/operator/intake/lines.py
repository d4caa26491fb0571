"""A store's two lines as one: what is urgent first. For tests that do not ask in which of them a job stands."""

from trainingjob_operator.intake.store import ReportStore


def take(store: ReportStore) -> str | None:
    return store.take(urgent=True) or store.take(urgent=False)


def next_due(store: ReportStore) -> float | None:
    times = [time for urgent in (True, False) if (time := store.next_due(urgent=urgent)) is not None]
    return min(times, default=None)
