#!/usr/bin/python3
"""mkschemas.py SWAGGER.json DIRECTORY: a strict JSON schema for each kind of the API, as kubeconform reads them. The
description is part of the Go module k8s.io/kubernetes (api/openapi-spec/swagger.json)."""

import json
import pathlib
import sys

PREFIX = "io.k8s.apimachinery.pkg."
SCALARS = {PREFIX + "util.intstr.IntOrString": ["string", "integer"], PREFIX + "api.resource.Quantity": ["string", "number"]}


def clean(value):
    """Without what only Kubernetes understands."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items() if not k.startswith("x-kubernetes")}
    return [clean(v) for v in value] if isinstance(value, list) else value


def strict(name, definition):
    """No unknown member; null is as good as nothing where a member may be left out."""
    if name in SCALARS:
        return {"oneOf": [{"type": kind} for kind in SCALARS[name]]}
    schema = clean(definition)
    if schema.get("properties"):
        schema.setdefault("additionalProperties", False)
        needed = schema.get("required", [])
        schema["properties"] = {k: v if k in needed else {"anyOf": [v, {"type": "null"}]} for k, v in schema["properties"].items()}
    return schema


def refs(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner.split("/")[-1]
            else:
                yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def main():
    definitions = json.loads(pathlib.Path(sys.argv[1]).read_text())["definitions"]
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    schemas = {name: strict(name, definition) for name, definition in definitions.items()}
    for name, definition in definitions.items():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        if len(kinds) != 1:
            continue
        group, version, kind = (kinds[0][key] for key in ("group", "version", "kind"))
        seen, todo = set(), [name]
        while todo:
            new = set(refs(schemas[todo.pop()])) - seen
            seen |= new
            todo += new
        schema = json.loads(json.dumps(schemas[name]))
        schema["properties"]["apiVersion"] = {"enum": [f"{group}/{version}" if group else version]}
        schema["properties"]["kind"] = {"enum": [kind]}
        schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind"})
        schema["definitions"] = {one: schemas[one] for one in seen}
        file = "-".join(filter(None, (kind.lower(), group.split(".")[0], version)))
        (out / f"{file}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    main()
