"""What stands around a job: its members' pods and its events."""

from trainingjob_client.cluster.jobs import Jobs, Json
from trainingjob_client.errors import ClientError
from trainingjob_client.view.events import EventView, read_event
from trainingjob_client.view.job import Member, read_job
from trainingjob_client.view.pods import members, read_pod


def surroundings(jobs: Jobs, body: Json) -> tuple[list[Member], list[EventView]]:
    """Return a job's members and events. Who may not list pods or events gets what the job's own status says."""
    try:
        pods = [read_pod(each) for each in jobs.pods(body)]
    except ClientError:
        pods = []
    try:
        events = [read_event(each) for each in jobs.events(body)]
    except ClientError:
        events = []
    return members(read_job(body), pods), events
