"""kubectl and helm against one cluster, and the refusal to touch a cluster that is not ours.

`deploy/test.sh e2e` says which cluster and which programs (environment variables); by hand, pytest asks the same
scripts itself.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
#: Contexts of the clusters that deploy/ makes: whatever happens to them is no loss.
OWN_CONTEXTS = ("trainingjob-local", "kind-trainingjob")
JOBS = "trainingjobs.trainingjob.dev"


class WrongClusterError(Exception):
    """The tests must not run here; the text says why and what to do."""


class CommandError(Exception):
    """A command ended with another exit code than 0. `output` is what it said on standard error."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command)}: exit code {code}: {output}")
        self.output = output


@dataclass(frozen=True)
class Kube:
    """One cluster. `backend` is local, kind or existing."""

    kubectl_path: str
    helm_path: str
    kubeconfig: str
    context: str
    backend: str

    def command(self, *arguments: str) -> list[str]:
        """Return a kubectl command line."""
        return [self.kubectl_path, "--kubeconfig", self.kubeconfig, "--context", self.context, *arguments]

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl and return its standard output.

        Raises:
            CommandError: it failed.
        """
        return run(self.command(*arguments), stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> Json:
        """Return `kubectl get ... -o json`; for several objects it is a list under `items`."""
        found: Json = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def find(self, *arguments: str) -> Json | None:
        """Return an object, None when it is not there."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def apply(self, *objects: Json, namespace: str | None = None) -> str:
        """Apply objects as a user does, with kubectl's validation."""
        where = ("-n", namespace) if namespace else ()
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl(*where, "apply", "-f", "-", stdin=json.dumps(body if len(objects) > 1 else objects[0]))

    def helm(self, *arguments: str, stdin: str | None = None, timeout: float = 300) -> str:
        """Run helm and return its standard output."""
        cluster = ("--kubeconfig", self.kubeconfig, "--kube-context", self.context)
        return run([self.helm_path, *cluster, *arguments], stdin=stdin, timeout=timeout)


def run(command: Sequence[str], *, stdin: str | None = None, timeout: float = 120) -> str:
    """Run a command and return its standard output; raises CommandError when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise CommandError(command, done.returncode, done.stderr.strip())
    return done.stdout


def deploy(script: str, *arguments: str) -> str:
    """Run a script of deploy/ and return what it prints."""
    return run([str(ROOT / "deploy" / script), *arguments]).strip()


def find_cluster() -> Kube:
    """Return the cluster to test on.

    Raises:
        WrongClusterError: its context is neither one of ours nor named by KUBE_CONTEXT.
    """
    env = os.environ
    context = env.get("TRAININGJOB_TEST_CONTEXT") or deploy("cluster.sh", "context")
    if context not in OWN_CONTEXTS and context != env.get("KUBE_CONTEXT"):
        raise WrongClusterError(
            "these tests kill the operator, patch nodes and uninstall the release: they run on "
            f"{' or '.join(OWN_CONTEXTS)}. To run them on '{context}' all the same, name it: KUBE_CONTEXT={context}"
        )
    return Kube(
        kubectl_path=env.get("KUBECTL") or _tool("kubectl"),
        helm_path=env.get("HELM") or _tool("helm"),
        kubeconfig=env.get("KUBECONFIG") or deploy("cluster.sh", "kubeconfig"),
        context=context,
        backend=env.get("TRAININGJOB_TEST_BACKEND") or deploy("cluster.sh", "backend"),
    )


def _tool(name: str) -> str:
    built = deploy("local/tools.sh", "--path", name)
    found = built if Path(built).exists() else shutil.which(name)
    if found is None:
        raise WrongClusterError(f"there is no {name}: run `make test-e2e`, which builds it")
    return found
