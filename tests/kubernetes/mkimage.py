#!/usr/bin/python3
"""mkimage.py TREE OUT.tar NAME:TAG [options]: a directory as an image of one layer, an OCI archive that
`ctr -n k8s.io images import` takes. All files belong to root."""

import argparse
import hashlib
import io
import json
import tarfile

MEDIA = "application/vnd.oci.image"


def owned_by_root(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(kind, data, **more):
    return {"mediaType": f"{MEDIA}.{kind}", "digest": digest(data), "size": len(data), **more}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree")
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--entrypoint", type=json.loads)
    parser.add_argument("--user")
    parser.add_argument("--stop-signal")
    parser.add_argument("--env", action="append", default=[])
    args = parser.parse_args()

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(args.tree, arcname=".", filter=owned_by_root)
    layer = buffer.getvalue()
    settings = {"Entrypoint": args.entrypoint, "User": args.user, "StopSignal": args.stop_signal, "Env": args.env}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {k: v for k, v in settings.items() if v},
                         "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}, sort_keys=True).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": f"{MEDIA}.manifest.v1+json", "config": blob("config.v1+json", config),
                           "layers": [blob("layer.v1.tar", layer)]}, sort_keys=True).encode()
    index = json.dumps({"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": [
        blob("manifest.v1+json", manifest, annotations={"io.containerd.image.name": args.name}, platform={"architecture": "amd64", "os": "linux"})]}).encode()
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    files.update({"blobs/sha256/" + digest(data)[7:]: data for data in (config, manifest, layer)})
    with tarfile.open(args.out, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main()
