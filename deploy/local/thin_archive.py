"""Turn an image as buildah writes it into one for `ctr images import`, without the layers that containerd has.

    buildah push IMAGE docker-archive:/dev/stdout | thin_archive.py REFERENCE [--present FILE] | ctr images import -

Of a trainer image of more than a gigabyte only the last, small layers change with the sources; the others are read
past. Layers stay uncompressed, so a layer has the same digest in every image that holds it. FILE lists the digests
that containerd has, one per line (`ctr content ls -q`).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import IO, Any, BinaryIO

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONTAINERD_NAME = "io.containerd.image.name"


def convert(source: BinaryIO, reference: str, present: set[str], out: BinaryIO) -> list[str]:
    """Copy the image in `source` (docker archive) to `out` (OCI archive) and return the digests of the layers sent.

    Both are streams. ValueError when the archive is not what buildah writes: layers named by their digest.
    """
    sizes: dict[str, int] = {}
    documents: dict[str, bytes] = {}
    sent: list[str] = []
    with tarfile.open(fileobj=source, mode="r|") as archive, tarfile.open(fileobj=out, mode="w|") as target:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or "/" in member.name:
                continue  # the old form of the same, for Docker before 1.10
            name, _, ending = member.name.partition(".")
            digest = f"sha256:{name}"
            if ending == "tar":
                sizes[digest] = member.size
                if digest not in present:
                    _add(target, f"blobs/sha256/{name}", content, member.size)
                    sent.append(digest)
            elif ending == "json":
                documents[member.name] = content.read()
        _describe(target, documents, sizes, reference)
    return sent


def _describe(target: tarfile.TarFile, documents: dict[str, bytes], sizes: dict[str, int], reference: str) -> None:
    """Write configuration, manifest and index: what names the layers."""
    entry = json.loads(documents["manifest.json"])[0]
    config = documents[entry["Config"]]
    layers = json.loads(config)["rootfs"]["diff_ids"]
    unknown = [digest for digest in layers if digest not in sizes]
    if unknown:
        raise ValueError(
            f"the archive of {reference} has no layer called {unknown[0]}: layers must be named by digest"
        )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [{"mediaType": LAYER_TYPE, "digest": d, "size": sizes[d]} for d in layers],
        }
    )
    index_entry = {**_descriptor(MANIFEST_TYPE, manifest), "annotations": {CONTAINERD_NAME: reference}}
    files = {
        f"blobs/sha256/{hashlib.sha256(config).hexdigest()}": config,
        f"blobs/sha256/{hashlib.sha256(manifest).hexdigest()}": manifest,
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [index_entry]}),
    }
    for name, content in files.items():
        _add(target, name, io.BytesIO(content), len(content))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(target: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    target.addfile(info, content)


def main() -> None:
    """Run the command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("--present", type=Path)
    arguments = parser.parse_args()
    present = set(arguments.present.read_text().split()) if arguments.present else set()
    convert(sys.stdin.buffer, arguments.reference, present, sys.stdout.buffer)


if __name__ == "__main__":
    main()
