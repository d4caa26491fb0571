"""A cluster in memory, for properties: the API objects that decide() makes, and a kubelet that anything may happen to.

`World` applies plans as the reconciler does and lets the outside act on pods: start, end, be deleted, be refused. It
keeps a record of every status that was written.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.unit.operator.core.builders import T0, UID, final_report, forbidden, job_body, platform
from trainingjob_operator.api.contract import Failure
from trainingjob_operator.core.observe import JobFact, PodFact, Terminated, observe_job, observe_pod
from trainingjob_operator.core.plan import Plan, decide
from trainingjob_operator.core.refusal import Refusal, judge_refusal


@dataclass
class World:
    """One job of `workers` workers, with `spec` besides."""

    workers: int
    spec: dict[str, Any] = field(default_factory=dict)
    now: Any = T0
    status: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, PodFact] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    quota: int | None = None
    written: list[dict[str, Any]] = field(default_factory=list)
    written_at: Any = None
    events: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    last: Plan = field(default_factory=Plan)

    @property
    def job(self) -> JobFact:
        status = self.status | ({"training": self.training} if self.training else {})
        return observe_job(job_body(self.workers, status, **self.spec))

    def decide(self) -> Plan:
        return decide(self.job, self.pods.values(), self.refusals.values(), platform(), self.now, self.written_at)

    def reconcile(self) -> Plan:
        plan = self.decide()
        if plan.creates:
            for create in plan.creates:
                self._create(create)
            plan = self.decide()
        for pod in plan.deletes:
            self.pods[pod.name] = replace(self.pods[pod.name], deleting=True)
        if plan.status is not None:
            self.status = plan.status
            self.written.append(plan.status)
            self.written_at = self.now
        self.events += [event.reason for event in plan.events]
        self.last = plan
        return plan

    def settle(self, limit: int = 30) -> None:
        """Reconcile until nothing is to be done now."""
        for _ in range(limit):
            plan = self.reconcile()
            idle = plan.status is None and not plan.creates and not plan.deletes
            if idle and (plan.look_again is None or plan.look_again > self.now):
                return
        raise AssertionError("does not come to rest")

    def _create(self, create) -> None:
        if create.subject in ("service", "launcher"):
            return
        if self.quota is not None and len(self.pods) >= self.quota:
            error = forbidden("exceeded quota: q")
            self.refusals[create.subject] = judge_refusal(
                create.subject, *error, self.refusals.get(create.subject), self.now
            )
            return
        self.refusals.pop(create.subject, None)
        name = create.body["metadata"]["name"]
        assert name not in self.pods, f"{name} is there already"
        body = create.body | {"status": {"phase": "Pending"}}
        body["metadata"] = body["metadata"] | {"uid": f"uid-{name}-{len(self.created)}"}
        self.pods[name] = observe_pod(body)
        self.created.append(name)

    # --- What may happen outside ---

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def start(self, name: str) -> None:
        pod = self.pods.get(name)
        if pod is not None and pod.phase == "Pending" and not pod.deleting:
            self.pods[name] = replace(pod, phase="Running", started_at=self.now)

    def end(self, name: str, code: int, message: str = "") -> None:
        pod = self.pods.get(name)
        if pod is not None and not pod.finished:
            ended = Terminated(code, "Completed" if code == 0 else "Error", message, self.now)
            self.pods[name] = replace(pod, phase="Failed" if code else "Succeeded", terminated=ended)

    def delete(self, name: str) -> None:
        if name in self.pods:
            self.pods[name] = replace(self.pods[name], deleting=True)

    def vanish(self, name: str) -> None:
        self.pods.pop(name, None)

    def form(self) -> None:
        """The gang forms if all members' newest pods run, and the chief says so."""
        up = {pod.member for pod in self.pods.values() if pod.phase == "Running" and not pod.deleting}
        if len(up - {"evaluator-0"}) == self.workers + 1:
            self.training = {"incarnation": 1, "generation": 1, "sequence": 1, "state": "Running"}

    def succeed(self) -> None:
        if self.training:
            for pod in list(self.pods.values()):
                if pod.phase == "Running" and not pod.deleting:
                    self.end(pod.name, 0, final_report() if pod.role == "chief" else "")

    def fail(self, name: str) -> None:
        pod = self.pods.get(name)
        if pod is None or not self.training:
            return
        self.end(name, 1)
        if pod.role == "evaluator":
            return  # nobody's failure but its own
        verdict = Failure(pod.member, "ProgramError", "boom", exit_code=1, generation=1)
        for chief in [p for p in self.pods.values() if p.role == "chief" and p.phase == "Running"]:
            self.end(chief.name, 1, final_report("Failed", verdict))


__all__ = ["UID", "World"]
