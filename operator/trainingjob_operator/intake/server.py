"""The endpoint's requests. It holds no state of its own and does no I/O but the request's; `listener` is its port.

A report passes cheap checks before dear ones, and nothing of a stranger's body is read. Whatever a client sends,
half-sends or does not send, the answer is a 4xx or a closed connection: 5xx are ours (503 while the caches fill).
A refusal is answered late, so that nobody can keep the operator busy with requests that come to nothing.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import orjson
from aiohttp import web

from trainingjob_operator.api.contract import MAX_REPORT_BYTES, ContractError, Report, member_name
from trainingjob_operator.api.names import ROLE_CHIEF
from trainingjob_operator.intake.authorize import (
    JobFact,
    PodFact,
    RefusedError,
    authorize_notice,
    authorize_report,
    authorize_sender,
)
from trainingjob_operator.intake.connections import Roster
from trainingjob_operator.intake.gang import patience
from trainingjob_operator.intake.limits import ReportRates
from trainingjob_operator.intake.store import ReportStore
from trainingjob_operator.intake.tokens import Claims, KeysUnavailableError, TokenError

logger = logging.getLogger(__name__)
#: aiohttp logs a traceback, with the bytes that it choked on, for every malformed request: strangers could fill the
#: log with it, and a chief's token could end up there. Our own defects are logged by the middleware below.
SILENT = logging.Logger("trainingjob_operator.intake.http", logging.CRITICAL + 1)
#: The connections, to which a report that was taken is told.
ROSTER: web.AppKey[Roster] = web.AppKey("roster", Roster)

CHIEF = member_name(ROLE_CHIEF, 0)
REPORT_PATH = "/v1/namespaces/{namespace:[a-z0-9-]{1,63}}/trainingjobs/{name:[a-z0-9.-]{1,253}}/report"


@dataclass(frozen=True)
class Limits:
    """Seconds that a body may take to come, and that a refusal is held back."""

    body: float = 10.0
    refusal: float = 1.0


@dataclass(frozen=True)
class Intake:
    """What the endpoint works with. All but `verify` answer from memory.

    `ready` says whether the caches behind the two `find_*` are filled. `newest` is the newest incarnation of a member
    that has a pod, by the job's UID and the member's name; 0 for none. `on_report` hears the HTTP status of every
    request for a report.
    """

    verify: Callable[[str], Awaitable[Claims]]
    find_job: Callable[[str, str], JobFact | None]
    find_pod: Callable[[str], PodFact | None]
    ready: Callable[[], bool]
    store: ReportStore
    rates: ReportRates
    limits: Limits = Limits()
    on_report: Callable[[int], None] = lambda _status: None
    newest: Callable[[str, str], int] = lambda _uid, _member: 0


def make_app(intake: Intake) -> web.Application:
    """Return the application: the report endpoint and `/healthz`."""

    async def report(request: web.Request) -> web.StreamResponse:
        try:
            response = await _answer(intake, request)
        except Exception:
            intake.on_report(500)
            raise
        intake.on_report(response.status)
        if response.status == 204:
            request.app[ROSTER].trust(request.protocol)
        return response

    async def healthz(_request: web.Request) -> web.StreamResponse:
        """Say whether reports can be judged: the readiness probe, so that they go to a replica where they can."""
        if intake.ready():
            response = web.json_response({"status": "ok"})
        else:
            response = _error(503, "the caches are not filled yet", retry_after=1.0)
        # A probe per connection: how many connections somebody may open is limited, answers here are not.
        response.force_close()
        return response

    async def hold_refusals(_request: web.Request, response: web.StreamResponse) -> None:
        if response.status >= 400 and response.keep_alive is not False:
            await asyncio.sleep(intake.limits.refusal)

    app = web.Application(middlewares=[_json_errors], client_max_size=MAX_REPORT_BYTES + 1)
    app.on_response_prepare.append(hold_refusals)
    app.router.add_post(REPORT_PATH, report)
    app.router.add_get("/healthz", healthz)
    return app


async def _answer(intake: Intake, request: web.Request) -> web.Response:
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    if not intake.ready():
        return _error(503, "the operator has just started and does not know all jobs yet: try again", retry_after=2)
    try:
        claims = await intake.verify(_bearer(request))
        pod = intake.find_pod(claims.pod_uid)
        job, pod = authorize_sender(claims, namespace, name, intake.find_job(namespace, name), pod)
        chief = pod.role == ROLE_CHIEF
        wait = intake.rates.try_take(namespace, job.uid, notice=not chief)
        if wait is not None:
            return _error(429, wait.reason, retry_after=wait.seconds)
        report = Report.decode(await _body(request, intake.limits.body))
        # The store may know of a later generation than the cached status.
        newest = _newest(job, intake.store)
        of_sender = intake.newest(job.uid, report.member)
        if chief:
            authorize_report(report, newest, pod, of_sender)
        else:
            authorize_notice(report, newest, pod, of_sender, intake.newest(job.uid, CHIEF))
    except TokenError as error:
        return _error(401, str(error))
    except KeysUnavailableError:
        return _error(503, "the API server's token keys are not known yet: try again", retry_after=10)
    except RefusedError as error:
        return _error(error.status, str(error), retry_after=2 if error.status == 503 else None)
    except ContractError as error:
        return _error(400, str(error))
    if chief:
        intake.store.put(job.uid, namespace, name, report, refutes=job.chief_lost)
    else:
        lost, silence = report.chief_incarnation or 0, patience(job.interval)
        intake.store.miss(job.uid, namespace, name, lost, report.member, job.heard_at, silence)
    return web.Response(status=204)


def _newest(job: JobFact, store: ReportStore) -> JobFact:
    entry = store.get(job.uid)
    if entry is None or entry.report is None:
        return job
    incarnation, generation = max(
        (job.incarnation, job.generation), (entry.report.incarnation, entry.report.generation)
    )
    return replace(job, incarnation=incarnation, generation=generation)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError("the header `Authorization: Bearer TOKEN` is missing")
    return token.strip()


async def _body(request: web.Request, seconds: float) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusedError(415, "a report must not be compressed")
    if request.content_length is not None and request.content_length > MAX_REPORT_BYTES:
        raise RefusedError(413, f"a report has at most {MAX_REPORT_BYTES} bytes")
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise RefusedError(408, f"the report did not arrive within {seconds:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError(413, f"a report has at most {MAX_REPORT_BYTES} bytes") from None
    except (OSError, web.RequestPayloadError) as error:
        raise RefusedError(400, "the body broke off or is malformed") from error


def _error(status: int, message: str, *, retry_after: float | None = None) -> web.Response:
    headers = {}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=status, body=orjson.dumps({"error": message}), content_type="application/json", headers=headers
    )


@web.middleware
async def _json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _error(error.status, error.reason)
        for header in ("Allow",):
            if header in error.headers:
                response.headers[header] = error.headers[header]
        return response
    except Exception:
        # A defect of ours. The request's headers carry a token, so the request itself is not logged.
        logger.exception("intake: %s %s", request.method, request.match_info.route.name or "report")
        return _error(500, "the operator failed on this request; its log says why")
