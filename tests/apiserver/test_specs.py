"""What the API server takes, what it makes of it, and what it refuses: the same as Python."""

import pytest

from tests.apiserver.api import Api, Json, RefusedError
from tests.unit.operator.api.specs import BAD, BAD_NAMES, GOOD, GOOD_NAMES, Bad, Good, Spec, with_training
from trainingjob_operator.api.validation import check_metadata, parse_spec


def job(spec: Spec, name: str = "job") -> Json:
    """Return a job of this spec."""
    return {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.id)
def test_good_specs_are_stored_with_the_defaults_that_python_has(api: Api, jobs: str, good: Good) -> None:
    stored = api.create(jobs, job(good.spec))["spec"]
    parsed, problems = parse_spec(good.spec)
    assert parsed is not None, problems
    assert stored == parsed.model_dump(mode="json", by_alias=True, exclude_none=True)
    again, problems = parse_spec(stored)
    assert (again, problems) == (parsed, [])


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_bad_specs_are_refused_and_the_field_is_named(api: Api, server_jobs: str, bad: Bad) -> None:
    with pytest.raises(RefusedError) as refusal:
        api.create(server_jobs, job(bad.spec), dryRun="All")
    # An unknown field is refused before anything else is looked at, and so is an object where a text or list belongs.
    unknown = f'unknown field "{bad.field}' in refusal.value.message
    assert unknown or bad.field in refusal.value.fields, refusal.value
    spec, problems = parse_spec(bad.spec)
    assert spec is None
    assert bad.field in [problem.field for problem in problems]


@pytest.mark.parametrize(("name", "says"), BAD_NAMES)
def test_bad_names_are_refused(api: Api, server_jobs: str, name: str, says: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        api.create(server_jobs, job({"program": {}}, name), dryRun="All")
    assert [(field, says in message) for field, message in refusal.value.causes] == [("metadata.name", True)]
    assert [problem.field for problem in check_metadata({"name": name})] == ["metadata.name"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names_are_taken(api: Api, server_jobs: str, name: str) -> None:
    api.create(server_jobs, job({"program": {}}, name), dryRun="All")


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"spec": []}, {"spec": "program"}], ids=str)
def test_a_job_needs_a_spec(api: Api, server_jobs: str, body: Json) -> None:
    with pytest.raises(RefusedError) as refusal:
        api.create(server_jobs, {**job({}), "spec": None} | body, dryRun="All")
    assert "spec" in refusal.value.fields


def test_rules_say_the_same_in_both_languages(api: Api, server_jobs: str) -> None:
    """The words of a CEL rule are those of its Python twin."""
    spec = {"program": {"env": [{"name": "TF_CONFIG"}], "source": {}}, **with_training()}
    with pytest.raises(RefusedError) as refusal:
        api.create(server_jobs, job(spec), dryRun="All")
    said = {(field, message.split(": ")[-1]) for field, message in refusal.value.causes}
    # Python judges an object as a whole once its fields are right.
    judged = parse_spec(spec)[1] + parse_spec({"program": {}, **with_training()})[1]
    assert said == {(problem.field, problem.message) for problem in judged}


@pytest.fixture(scope="module")
def server_jobs(api: Api) -> str:
    """Jobs of the default namespace, for dry runs."""
    return "/apis/trainingjob.dev/v1alpha1/namespaces/default/trainingjobs"
