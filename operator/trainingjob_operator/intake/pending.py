"""What a job's reports have said since its status was written last. Pure.

The status shows the latest report; its history, its best values and its goodput come of all of them, and so does
what the gang is told to have been through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trainingjob_operator.api.contract import Extremes, Ledger, Report
from trainingjob_operator.core.best import merge_extremes
from trainingjob_operator.core.goodput import Beat, add_beat, beat_of
from trainingjob_operator.core.history import Order, Sample, sample_of, thin
from trainingjob_operator.intake.gang import Missed, ToldFailure, ledger_after, missed_after

#: So many reports of a job are kept while it can't be written, thinned like the history itself. A job that reports
#: each second and is written each five needs five; the rest is for an API server that is away.
MAX_SAMPLES = 64


@dataclass(frozen=True)
class Pending:
    """Reports that the status does not have yet: for the history, for the accounting, and the metrics' extremes.

    `told` is the last report that went into the status from here. The rest is of all reports that this process has
    seen: the ledger, the last failure, and since when the members are missed that the last report misses.
    """

    samples: tuple[Sample, ...] = ()
    beats: tuple[Beat, ...] = ()
    extremes: Mapping[str, Extremes] = field(default_factory=dict)
    told: Beat | None = None
    ledger: Ledger | None = None
    failure: ToldFailure | None = None
    missed: Mapping[str, Missed] = field(default_factory=dict)

    @property
    def last(self) -> Order | None:
        """The order of the last report, None before the first."""
        beat = self.beats[-1] if self.beats else self.told
        return None if beat is None else beat.order

    def plus(self, report: Report, at: float) -> "Pending":
        """Return it with a report that comes after all of them; `at` is its time in seconds since 1970."""
        samples = self.samples
        sample = sample_of(report, at)
        if sample is not None:
            samples = (*samples, sample)
            if len(samples) > MAX_SAMPLES:
                samples = tuple(thin(samples, [s.at for s in samples], MAX_SAMPLES))
        extremes = (report.training.extremes if report.training is not None else None) or {}
        return Pending(
            samples,
            add_beat(self.beats, beat_of(report, at)),
            # a chief's are over its own life only: those of the one before it stay
            merge_extremes(self.extremes, extremes) if self.extremes else extremes,
            self.told,
            ledger_after(self.ledger, report.ledger),
            ToldFailure.after(self.failure, report.failure, at),
            missed_after(self.missed, report, at, self.last),
        )

    def without(self, carried: "Pending") -> "Pending":
        """Return what is left when the status has all that was `carried` into it."""
        if not carried.beats:
            return self
        last = carried.beats[-1]
        return replace(
            self,
            samples=tuple(sample for sample in self.samples if sample.order > last.order),
            beats=tuple(beat for beat in self.beats if beat.order > last.order),
            extremes={} if self.extremes is carried.extremes else self.extremes,
            told=last,
        )


NOTHING = Pending()
