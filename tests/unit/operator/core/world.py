"""A cluster in memory, for properties: the API objects that decide() makes, and a kubelet that anything may happen to.

`World` applies plans as the reconciler does and lets the outside act on pods: start, end, be deleted, be refused, lose
their node; and on the gang, which forms, restarts in place and counts. It keeps a record of every status that was
written. With `calls` the operator dies after so many more calls to the API server, and its memory with it.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.unit.operator.core.builders import T0, UID, final_report, forbidden, job_body, platform
from trainingjob_operator.api.contract import Failure
from trainingjob_operator.core.address import BY_KUBERNETES
from trainingjob_operator.core.observe import JobFact, PodFact, Terminated, observe_job, observe_pod
from trainingjob_operator.core.plan import Plan, decide
from trainingjob_operator.core.refusal import Refusal, judge_refusal


class OperatorDiedError(Exception):
    """The operator's process is gone, between two calls to the API server."""


@dataclass
class World:
    """One job of `workers` workers, with `spec` besides. Each generation makes a new step if it `moves`."""

    workers: int
    spec: dict[str, Any] = field(default_factory=dict)
    now: Any = T0
    status: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    gang: dict[str, Any] = field(default_factory=dict)
    formed_of: tuple[str, ...] = ()
    knows: dict[str, int] = field(default_factory=dict)
    calls: int | None = None
    moves: bool = True
    pods: dict[str, PodFact] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    quota: int | None = None
    written: list[dict[str, Any]] = field(default_factory=list)
    written_at: Any = None
    events: list[str] = field(default_factory=list)
    told: set[tuple[str, str]] = field(default_factory=set)
    created: list[str] = field(default_factory=list)
    last: Plan = field(default_factory=Plan)
    #: The address in the slice, and which of the chief's pods the Service selects, if it does; what this operator
    #: process knows of both.
    service: bool = False
    slice: str = ""
    selects: int | None = None
    published: str | None = None
    crowded: bool = False

    @property
    def job(self) -> JobFact:
        status = self.status | ({"training": self.training} if self.training else {})
        status |= {"gang": self.gang} if self.gang else {}
        return observe_job(job_body(self.workers, status, **self.spec))

    def decide(self) -> Plan:
        pods, refusals = self.pods.values(), self.refusals.values()
        return decide(
            self.job, pods, refusals, platform(), self.now, self.written_at,
            published=self.published, crowded=self.crowded,
        )  # fmt: skip

    def reconcile(self) -> Plan:
        plan = self.decide()
        if plan.creates:
            for create in plan.creates:
                self._call()
                self._create(create)
            plan = self.decide()
        for pod in plan.deletes:
            self._call()
            self.pods[pod.name] = replace(self.pods[pod.name], deleting=True)
        if plan.status is not None:
            self._call()
            self.status = plan.status
            self.written.append(plan.status)
            self.written_at = self.now
        self.events += [event.reason for event in plan.events]
        self.told |= {(event.reason, event.about) for event in plan.events}
        self.last = plan
        return plan

    def _call(self) -> None:
        if self.calls is None:
            return
        if self.calls == 0:
            self.calls = None
            self.forget()
            raise OperatorDiedError
        self.calls -= 1

    def forget(self) -> None:
        """A new operator process takes over: what the last one kept in memory is gone."""
        self.refusals, self.written_at, self.published = {}, None, None

    def settle(self, limit: int = 30) -> None:
        """Reconcile until nothing is to be done now."""
        for _ in range(limit):
            plan = self.reconcile()
            idle = plan.status is None and not plan.creates and not plan.deletes
            if idle and (plan.look_again is None or plan.look_again > self.now):
                return
        raise AssertionError("does not come to rest")

    def _create(self, create) -> None:
        if create.subject == "address":
            if self.published != BY_KUBERNETES:
                self.slice = self.published = create.body["endpoints"][0]["addresses"][0]
        elif create.subject == "service":
            begins = "selector" in create.body["spec"]
            if create.incarnation or not self.service:
                self.slice = self.slice if begins else ""
                if begins or self.selects is not None:
                    self.selects = create.incarnation
            self.service = True
            self.published = "" if self.selects is None else BY_KUBERNETES
        if create.subject in ("service", "address", "launcher"):
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
        stamp = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body["metadata"] = body["metadata"] | {"uid": f"uid-{name}-{len(self.created)}", "creationTimestamp": stamp}
        self.pods[name] = observe_pod(body)
        env = {variable["name"]: variable.get("value") for variable in body["spec"]["containers"][0]["env"]}
        self.knows[name] = int(env.get("TRAININGJOB_POD_FAILURES", "0"))
        self.created.append(name)

    def found(self) -> set[str]:
        """Where members look for the chief: at the address in the slice, and where Kubernetes finds it."""
        selected = {
            pod.ip for pod in self.pods.values()
            if pod.role == "chief" and pod.incarnation == self.selects and pod.ip and not pod.finished
        }  # fmt: skip
        return (({self.slice} - {""}) | selected) if self.service else set()

    # --- What may happen outside ---

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def start(self, name: str) -> None:
        pod = self.pods.get(name)
        if pod is not None and pod.phase == "Pending" and not pod.deleting:
            address = f"10.0.0.{self.created.index(name)}"
            self.pods[name] = replace(pod, phase="Running", started_at=self.now, ip=address)

    def crowd(self, others: int) -> None:
        """So many other jobs wait for their pods."""
        self.crowded = others > 0

    def start_all(self) -> None:
        for name in list(self.pods):
            self.start(name)

    def end(self, name: str, code: int, message: str = "", reason: str = "") -> None:
        pod = self.pods.get(name)
        if pod is not None and not pod.finished:
            ended = Terminated(code, reason or ("Completed" if code == 0 else "Error"), message, self.now)
            self.pods[name] = replace(pod, phase="Failed" if code else "Succeeded", terminated=ended)

    def evict(self, name: str) -> None:
        """The API server's eviction, as by a drain."""
        if name in self.pods:
            self.pods[name] = replace(self.pods[name], deleting=True, disruption="EvictionByEvictionAPI")

    def delete(self, name: str) -> None:
        if name in self.pods:
            self.pods[name] = replace(self.pods[name], deleting=True)

    def vanish(self, name: str) -> None:
        self.pods.pop(name, None)

    def newest(self) -> dict[str, PodFact]:
        """The newest pod of each member that has one."""
        found: dict[str, PodFact] = {}
        for pod in sorted(self.pods.values(), key=lambda pod: pod.incarnation):
            if pod.role != "evaluator":
                found[pod.member] = pod
        return found

    def live(self) -> list[str]:
        """The newest pods that run, where their launchers reach each other."""
        newest = self.newest().values()
        return [p.name for p in newest if p.phase == "Running" and not p.deleting and p.out_of_sight_since is None]

    def form(self) -> None:
        """The next generation forms if all members' newest pods run, and not all of them are in one already."""
        up = tuple(sorted(self.live()))
        state = self.training.get("state")
        if len(up) != self.workers + 1 or (up == self.formed_of and state == "Running") or state == "Failed":
            return
        chief = next(p for p in self.newest().values() if p.role == "chief")
        generation = self.training.get("generation", 0) + 1
        ledger = (self.gang.get("ledger") or {"counted": 0}) | {"generation": generation}
        if self.moves:
            ledger |= {"step": 10 * generation, "started": True}
        self.formed_of = up
        self.gang = {"size": len(up), "ledger": ledger} | (
            {"failure": self.gang["failure"]} if "failure" in self.gang else {}
        )
        self.training = {
            "incarnation": chief.incarnation, "generation": generation, "sequence": 1, "state": "Running"
        }  # fmt: skip

    def crash(self, member: str) -> None:
        """A trainer dies; the chief's launcher, if it is there, counts it and restarts the gang in place."""
        pods = self.newest()
        chief = pods.get("chief-0")
        live = self.live()
        if self.training.get("state") != "Running" or chief is None or chief.name not in live or member not in pods:
            return
        generation = self.training["generation"]
        ledger = self.gang["ledger"] | {"counted": self.gang["ledger"]["counted"] + 1}
        failures = ledger["counted"] + max(self.knows[name] for name in self.formed_of)
        if failures > self.job.spec.failure_policy.backoff_limit:
            verdict = Failure(member, "BackoffLimitExceeded", "SIGKILL", generation=generation)
            self.end(chief.name, 1, final_report("Failed", verdict))
            return
        self.gang = self.gang | {
            "ledger": ledger,
            "failure": {
                "member": member, "reason": "TrainerKilled", "message": "SIGKILL", "generation": generation,
                "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }  # fmt: skip
        self.training = self.training | {"state": "Restarting", "sequence": self.training["sequence"] + 1}

    def lose_node(self, member: str) -> None:
        """The node of a member's pod falls silent, and the launchers that are left say whom they miss."""
        pod = self.newest().get(member)
        if pod is None or pod.phase != "Running":
            return
        self.pods[pod.name] = replace(pod, out_of_sight_since=self.now)
        since = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        if not self.training:
            return
        if pod.role == "chief":
            if self.workers:
                self.gang = self.gang | {
                    "chiefLost": {"incarnation": pod.incarnation, "member": "worker-0", "since": since}
                }
        else:
            self.gang = self.gang | {
                "unreachable": [*self.gang.get("unreachable", []), {"name": member, "since": since}]
            }

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
