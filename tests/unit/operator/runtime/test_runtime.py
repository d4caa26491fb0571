"""The shell's own parts: job cache, events, workers, supervisor, settings, profiles."""

import asyncio
import json

import pytest

from tests.unit.operator.core.builders import UID, at, job, job_body
from trainingjob_operator.core.plan import Event
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.runtime.events import MAX_NOTE, build_event
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.node_pools import load_node_pools
from trainingjob_operator.runtime.queue import WorkQueue
from trainingjob_operator.runtime.supervisor import Supervisor
from trainingjob_operator.runtime.workers import resync, work
from trainingjob_operator.settings import Settings, SettingsError, load

pytestmark = pytest.mark.looptime  # no test waits: the loop's clock jumps to whatever is due next


def body(version, uid=UID, **status):
    out = job_body(status=status or None)
    out["metadata"] |= {"resourceVersion": str(version), "uid": uid}
    return out


class TestJobCache:
    def cache(self):
        changed = []
        return JobCache(changed.append), changed

    def test_a_new_job_and_a_new_phase_are_worth_a_look(self):
        cache, changed = self.cache()
        cache.put(body(1))
        cache.put(body(2, phase="Pending"))
        assert changed == [UID, UID]

    def test_metrics_are_not(self):
        cache, changed = self.cache()
        cache.put(body(1, phase="Running", training={"generation": 1, "sequence": 1, "metrics": {"loss": 1}}))
        cache.put(body(2, phase="Running", training={"generation": 1, "sequence": 2, "metrics": {"loss": 0.5}}))
        cache.put(body(3, phase="Running", training={"generation": 1, "sequence": 3}, display={"loss": "0.5"}))
        assert changed == [UID]

    def test_a_generation_that_formed_or_ended_is(self):
        cache, changed = self.cache()
        cache.put(body(1, phase="Starting"))
        cache.put(body(2, phase="Starting", training={"generation": 1, "state": "Running"}))
        cache.put(body(3, phase="Starting", training={"generation": 1, "state": "Failed"}))
        assert len(changed) == 3

    def test_what_the_watch_tells_again_is_no_news(self):
        """Our own write comes back through the watch: what was read from it stays."""
        cache, changed = self.cache()
        cache.put(body(2, phase="Pending"))
        fact = cache.fact(UID)
        changed.clear()
        cache.put(body(2, phase="Pending"))
        assert changed == []
        assert cache.fact(UID) is fact
        cache.put(body(3, phase="Pending"))
        assert cache.fact(UID) is not fact

    def test_what_is_older_than_known_is_dropped(self):
        """The watch may tell of a state that our own later write has overtaken. Versions are numbers: 10 > 9."""
        cache, changed = self.cache()
        cache.put(body(10, phase="Running"), quiet=True)
        cache.put(body(9, phase="Starting"))
        assert cache.fact(UID).phase == "Running"
        assert changed == []

    def test_a_job_made_again_under_its_name_takes_the_name_over(self):
        cache, changed = self.cache()
        cache.put(body(1))
        cache.put(body(5, uid="other"))
        assert cache.find("ml", "mnist")["metadata"]["uid"] == "other"
        assert cache.fact(UID) is None
        assert set(changed) == {UID, "other"}
        cache.remove(UID)
        assert cache.find("ml", "mnist") is not None

    def test_a_full_list_removes_what_is_not_in_it(self):
        cache, changed = self.cache()
        cache.put(body(1))
        cache.replace_all([], 1)
        assert list(cache) == []
        assert changed == [UID, UID]

    def test_a_list_does_not_remove_what_is_younger_than_it(self):
        """The watch may tell of a new job while the list is still on its way."""
        cache, _ = self.cache()
        cache.put(body(7))
        cache.replace_all([], 6)
        assert list(cache) == [UID]

    def test_an_answer_that_comes_late_does_not_bring_a_job_back(self):
        cache, _ = self.cache()
        cache.put(body(1))
        cache.remove(UID)
        cache.put(body(2, phase="Pending"), quiet=True)
        assert list(cache) == []


class TestEvents:
    def test_the_same_news_has_the_same_name_so_that_it_is_told_once(self):
        one, again = (build_event(job(), Event("Running", "x"), "pod-a", at(n)) for n in (1, 2))
        other = build_event(job(), Event("Succeeded", "x"), "pod-a", at(1))
        assert one["metadata"]["name"] == again["metadata"]["name"] != other["metadata"]["name"]

    def test_a_long_note_is_cut_between_characters(self):
        event = build_event(job(), Event("Failed", "é" * 2000, warning=True), "p", at(0))
        assert len(event["message"].encode()) <= MAX_NOTE
        assert event["message"] == "é" * (MAX_NOTE // 2)
        assert event["type"] == "Warning"


class TestWorkers:
    async def test_one_jobs_errors_do_not_stop_the_others_and_it_comes_again(self):
        queue = WorkQueue(base=1.0, rand=lambda: 0.5)
        seen = []

        async def reconcile(uid):
            seen.append(uid)
            if uid == "bad" and seen.count("bad") < 3:
                raise ApiError(500, "InternalError", "x") if seen.count("bad") == 1 else ValueError("y")
            return

        queue.add("bad")
        queue.add("good")
        worker = asyncio.create_task(work(queue, reconcile))
        await asyncio.sleep(60)
        queue.shutdown()
        await worker
        assert seen == ["bad", "good", "bad", "bad"]

    async def test_a_job_comes_again_when_it_asked_to(self):
        queue, seen = WorkQueue(), []

        async def reconcile(uid):
            seen.append(asyncio.get_running_loop().time())
            return 10.0 if len(seen) == 1 else None

        queue.add("a")
        worker = asyncio.create_task(work(queue, reconcile))
        await asyncio.sleep(60)
        queue.shutdown()
        await worker
        assert seen == [0, 10]

    async def test_a_failing_relist_does_not_end_the_resync(self):
        calls = []

        async def relist():
            calls.append("list")
            raise ApiError(503)

        task = asyncio.create_task(resync(relist, lambda: calls.append("all"), 100.0, lambda: 0.5))
        await asyncio.sleep(250)
        task.cancel()
        assert calls == ["list", "all"] * 2


class TestSupervisor:
    async def test_a_task_that_dies_brings_the_process_down_once(self):
        deaths = []
        supervisor = Supervisor(deaths.append)

        async def die():
            raise ValueError("x")

        supervisor.start("a", die())
        supervisor.start("b", die())
        supervisor.start("c", asyncio.Event().wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await supervisor.stop()
        assert [str(error) for error in deaths] == ["x"]

    async def test_stopping_is_no_death(self):
        deaths = []
        supervisor = Supervisor(deaths.append)
        task = supervisor.start("a", asyncio.Event().wait())
        await supervisor.stop()
        assert task.cancelled()
        assert deaths == []


class TestSettings:
    def test_flags_win_over_variables_and_these_over_defaults(self):
        env = {"TRAININGJOB_OPERATOR_QPS": "7", "TRAININGJOB_OPERATOR_WORKERS": "3"}
        settings = load(env, {"qps": "9", "burst": None})
        assert (settings.qps, settings.workers, settings.burst) == (9.0, 3, 200)

    def test_namespaces_are_a_list(self):
        assert load({"TRAININGJOB_OPERATOR_WATCH_NAMESPACES": "a, b,"}).watch_namespaces == ("a", "b")

    @pytest.mark.parametrize(
        ("name", "value"), [("QPS", "fast"), ("WORKERS", "0"), ("BURST", "-1"), ("LOG_LEVEL", "loud"), ("QPS", "nan")]
    )
    def test_a_bad_value_is_named(self, name, value):
        with pytest.raises(SettingsError, match=f"TRAININGJOB_OPERATOR_{name} is '{value}'"):
            load({f"TRAININGJOB_OPERATOR_{name}": value})

    def test_what_is_needed_is_named(self):
        with pytest.raises(SettingsError, match="TRAININGJOB_OPERATOR_INTAKE_SECRET is not set"):
            Settings().require("intake_secret")


class TestNodePools:
    def test_profiles_are_read_by_name(self, tmp_path):
        file = tmp_path / "pools.json"
        file.write_text(json.dumps({"a100": {"accelerator": {"count": 8}}}))
        assert load_node_pools(str(file))["a100"].accelerator.count == 8
        assert load_node_pools("") == {}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": {"acelerator": {}}}', "nodePools.a.acelerator"),
            ("[]", "must be an object"),
            ("{", "node pools file"),
        ],
    )
    def test_a_wrong_profile_stops_the_operator_and_is_named(self, tmp_path, text, said):
        file = tmp_path / "pools.json"
        file.write_text(text)
        with pytest.raises(SettingsError, match=said):
            load_node_pools(str(file))
