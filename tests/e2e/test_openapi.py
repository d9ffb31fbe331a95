"""The API does what its description says: every route with requests that are right by it, and with each thing wrong
that it rules out. New routes need no test here: all is made from openapi.yaml, as the API serves it."""

import http.client
import itertools
import json
import re
import urllib.parse

import hypothesis
import jsonschema
import pytest
import yaml
from hypothesis import strategies as st

from harness import EICAR, ROOT, send, wait_for

METHODS = ("get", "post", "put", "patch", "delete")
NUMBERS = itertools.count()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DESCRIBED = yaml.safe_load((ROOT / "control/http/openapi.yaml").read_text())

BODY_MAX = int(re.search(r"\((\d+) bytes\)", DESCRIBED["info"]["description"])[1])


# The description, without references

def merged(parts):
    """What allOf asks for, as one schema."""
    whole = {}
    for part in parts:
        for key, value in part.items():
            if key == "properties":
                whole.setdefault(key, {}).update(value)
            elif key == "required":
                whole[key] = sorted({*whole.get(key, []), *value})
            else:
                whole[key] = value
    return whole


def plain(node):
    if isinstance(node, list):
        return [plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = DESCRIBED
        for word in node["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        return plain(found)
    node = {key: plain(value) for key, value in node.items()}
    if "allOf" in node:
        node = merged([*node.pop("allOf"), node])
    return node


class Operation:
    def __init__(self, path, method, item):
        what = plain(item[method])
        self.path, self.method = path, method.upper()
        self.parameters = [*plain(item.get("parameters", [])), *what.get("parameters", [])]
        self.body = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        self.body_required = what.get("requestBody", {}).get("required", False)
        self.responses = what["responses"]
        self.allowed = {one.upper() for one in item if one in METHODS}

    def __repr__(self):
        return f"{self.method} {self.path}"

    def of(self, where):
        return {one["name"]: one for one in self.parameters if one["in"] == where}


OPERATIONS = [Operation(path, method, item) for path, item in DESCRIBED["paths"].items()
              for method in METHODS if method in item]
# What other relays wrote: a schema tells its form, tests of the transfer what may stand in it.
FOREIGN = ("/import", "/restore")
# What a person does, with a password or a session: test_people.py, test_sessions.py.
PERSONAL = ("/password", "/password-reset", "/session", "/me")


def is_personal(operation):
    return f"/{operation.path.split('/')[1]}" in PERSONAL


def needs_cookie(operation):
    return any("cookie" in one for one in DESCRIBED["paths"][operation.path][operation.method.lower()].get("security", []))


own_operations = pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.path not in FOREIGN and not is_personal(one)], ids=repr)
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=repr)


# What is right by a schema

def text_of(schema):
    if schema.get("format") in ("ipv4", "ipv6"):
        return st.ip_addresses(v=int(schema["format"][-1])).map(str)
    if schema.get("format") == "email":
        return st.emails()
    least, most = schema.get("minLength", 0), schema.get("maxLength", 200)
    if "pattern" in schema:  # "$" also matches before a line's end
        pattern = f"(?:{schema['pattern'].removeprefix('^').removesuffix('$')})"
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: least <= len(text) <= most)
    return st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=least, max_size=most)


def object_of(schema):
    parts = {name: right(value) for name, value in schema.get("properties", {}).items()}
    needed = {name: parts.pop(name) for name in schema.get("required", [])}
    checker = jsonschema.Draft7Validator({key: schema[key] for key in ("anyOf", "minProperties") if key in schema})
    return st.fixed_dictionaries(needed, optional=parts).filter(checker.is_valid)


def right(schema):
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    choices = schema.get("oneOf") or (schema.get("anyOf") if schema.get("type") != "object" else None)
    if choices:
        rest = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf")}
        return st.one_of([right({**rest, **one}) for one in choices])
    kinds = {
        "string": lambda: text_of(schema), "boolean": st.booleans, "object": lambda: object_of(schema),
        "integer": lambda: st.integers(schema.get("minimum", 0), schema.get("maximum", 1 << 40)),
        "array": lambda: st.lists(right(schema["items"]), min_size=schema.get("minItems", 0), max_size=4),
    }
    return kinds[schema["type"]]()


# What is wrong by a schema

def wrong_texts(schema):
    if "maxLength" in schema and "pattern" not in schema and "format" not in schema:
        yield "\u00e9" * (schema["maxLength"] + 1)
    if schema.get("minLength", 0) > 1:
        yield "x" * (schema["minLength"] - 1)
    if "enum" in schema:
        yield from ("other", f"{schema['enum'][0]}x", str(schema["enum"][0]).upper())
    if "pattern" in schema or "format" in schema or "anyOf" in schema:
        values = ("", "a b\x7f", "\n", "x" * 600 + " ")
        yield from (value for value in values if not re.fullmatch(schema.get("pattern", "").strip("^$"), value))


def wrong(schema):
    """Values that the schema rules out, one for each thing that it says."""
    if schema.get("type") == "object":
        yield from ({"odd": 1}, [], "x", 5)
    kinds = {"string": "x", "integer": 1, "boolean": True, "array": [], "object": {}}
    taken = {one.get("type", schema.get("type")) for one in schema.get("oneOf", [schema])}
    yield from (value for kind, value in kinds.items() if kind not in taken)
    yield from (None, 1.5)
    for one in schema.get("oneOf", [schema]):
        if one.get("type") == "string":
            yield from wrong_texts(one)
        if one.get("type") == "integer":
            yield from (one[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in one)
            yield 1 << 70
        if one.get("type") == "array":
            yield from ([value] for value in wrong(one["items"]))
            yield from [[]] * one.get("minItems", 0)


def wrong_in_query(schema):
    if schema["type"] == "integer":
        yield from ("x", "1.0", "+1", " 1", "0x1", "9" * 30, "")
        yield from (str(schema[bound] + step) for bound, step in (("minimum", -1), ("maximum", 1)) if bound in schema)
    elif schema["type"] == "boolean":
        yield from ("yes", "TRUE", "2", "")
    else:
        yield from wrong_texts(schema)
        yield ""


# What comes back

def response_schema(schema):
    """nullable is null, and what is not described is not there."""
    if isinstance(schema, list):
        return [response_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: response_schema(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if schema.pop("nullable", False) is True:
        return {"anyOf": [{"type": "null"}, schema]}
    return schema


TIMES = jsonschema.FormatChecker(formats=())


@TIMES.checks("date-time")
def is_time(value):
    return not isinstance(value, str) or bool(TIME.fullmatch(value))


class Client:
    def __init__(self, shout):
        self.shout = shout
        self.token = (shout.state_dir / "control.token").read_text().strip()

    def ask(self, method, target, body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.shout.ports["control"], timeout=60)
        try:
            fields = {"Authorization": f"Bearer {self.token}", **({"Content-Type": kind} if body is not None else {})}
            connection.request(method, f"/api/v1{target}", body, fields)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def __call__(self, operation, path, query=None, body=None, **more):
        """(status, answer), after both were held against the description."""
        target = operation.path
        for name, value in path.items():
            target = target.replace(f"{{{name}}}", urllib.parse.quote(str(value), safe=""))
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in (query or {}).items()}
        target += "?" + urllib.parse.urlencode(words) if words else ""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        status, fields, answer = self.ask(operation.method, target, data, **more)
        described = operation.responses.get(str(status))
        if described is None:
            assert status >= 400, (operation, target, status, answer)
            described = operation.responses["default"]
        kind, = described["content"]
        assert fields["Content-Type"] == kind, (operation, fields)
        if not kind.endswith("json"):
            return status, answer
        answer = json.loads(answer)
        problems = [error.message for error in jsonschema.Draft7Validator(
            response_schema(described["content"][kind]["schema"]), format_checker=TIMES).iter_errors(answer)]
        assert not problems, (operation, target, body, status, answer, problems)
        return status, answer


@pytest.fixture(scope="module")
def client(shout):
    return Client(shout)


@pytest.fixture(scope="module")
def held(shout):
    account = shout.account_add(domain="known.example")
    with shout.smtp("starttls", account) as smtp:
        held = send(smtp, "me@known.example", "you@elsewhere.example",
                    b"From: me@known.example\r\nTo: you@elsewhere.example\r\nDate: Tue, 24 Nov 2026 04:00:00 +0100\r\n\r\n" + EICAR)
    wait_for(lambda: shout.shoutctl("queue", "list", "--id", held)["total"] == 1)
    shout.shoutctl("suspend", "--site", "known.example", "--for", "1h", "--reason", "known")
    return held


@pytest.fixture
def known(request, shout, held):
    """Values of path parameters that are there."""
    path = request.node.callspec.params["operation"].path
    account = shout.account_add(domain=f"known{next(NUMBERS)}.example")["account"]
    known = {"account": account, "id": held, "notice": "username"}
    if "{login}" in path:
        words = ("--role", "admin") if path.startswith("/operators") else ("--role", "owner", "--account", account)
        known["login"] = f"known{next(NUMBERS)}@known.example"
        shout.shoutctl("person", "add", known["login"], "--name", "Known", *words)
    if "{webhook}" in path:
        known["webhook"] = shout.shoutctl("webhook", "add", "https://known.example/", "--account", account, "--event", "held")["id"]
    return known


def path_of(operation, known, draw=None):
    return {name: known[name] if name in known else draw(right(one["schema"])) if draw else "0" * 26
            for name, one in operation.of("path").items()}


@own_operations
def test_what_is_right_is_taken_and_answered_as_described(client, known, operation):
    @hypothesis.settings(max_examples=12, deadline=None, derandomize=True, database=None,
                         phases=[hypothesis.Phase.generate],
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.data())
    def check(data):
        there = known if data.draw(st.booleans()) else {}
        query = {name: right(one["schema"]) for name, one in operation.of("query").items() if name != "wait"}
        needed = {name: query.pop(name) for name, one in operation.of("query").items() if one.get("required")}
        words = data.draw(st.fixed_dictionaries(needed, optional=query))
        body = data.draw(right(operation.body)) if operation.body else None
        status, answer = client(operation, path_of(operation, there, data.draw), words, body)
        assert status < 400 or status in (404, 409), (operation, words, body, status, answer)

    check()


@own_operations
def test_each_thing_that_is_wrong_is_named(client, known, operation):
    path = path_of(operation, known)
    good = right_body(operation) if operation.body else None
    if "domains" in (good or {}):
        good["domains"] = ["nobodys.example"]
    needed = {name: "xxx" for name, one in operation.of("query").items() if one.get("required")}

    def refused(query, body, field, **more):
        status, answer = client(operation, path, {**needed, **query}, body, **more)
        assert status == 400 and answer["error"], (operation, query, body, status, answer)
        assert field is None or field in (answer["field"] or "") or field in answer["error"], (operation, query, body, answer)

    refused({"odd": "1"}, good, "odd")
    for name, one in operation.of("query").items():
        for value in wrong_in_query(one["schema"]):
            refused({name: value}, good, name)
    for name in needed:
        needed.pop(name)
        refused({}, good, name)
        break
    if not operation.body:
        refused({}, {"odd": 1}, "odd")
        return
    for name, schema in operation.body["properties"].items():
        for value in wrong(schema):
            huge = value[0] if isinstance(value, list) and value else value
            refused({}, {**good, name: value}, None if isinstance(huge, int) and huge > 1 << 62 else name.split("_")[-1])
    for name in operation.body.get("required", []):
        refused({}, {key: value for key, value in good.items() if key != name}, name)
    refused({}, {**good, "odd": 1}, "odd")
    for value in ([], 5, "x"):
        refused({}, value, None)
    if operation.body_required:
        refused({}, None, None)


def right_body(operation):
    """The smallest that is right, made without chance."""
    return hypothesis.find(right(operation.body), lambda body: True,
                           settings=hypothesis.settings(derandomize=True, database=None, max_examples=20))


@every_operation
def test_other_methods_and_other_bodies_are_refused(client, known, operation):
    path = path_of(operation, known)
    allowed = operation.allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in operation.allowed else set())
    target = operation.path
    for name, value in path.items():
        target = target.replace(f"{{{name}}}", value)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        if method in allowed and method != "OPTIONS":
            continue
        status, fields, answer = client.ask(method, target)
        assert status == (204 if method == "OPTIONS" else 405), (method, target, status)
        assert set(fields["Allow"].split(", ")) == allowed, (method, target, fields["Allow"])
        assert bool(answer) == (method not in ("HEAD", "OPTIONS"))
    if operation.body and not needs_cookie(operation):
        for kind, body in itertools.product(("text/plain", "application/xml", "application/json; charset=utf-16"), (b"{}", b"x")):
            assert client(operation, path, {}, body, kind=kind)[0] == 415
    assert client(operation, path, {}, b"x" * (BODY_MAX + 1))[0] == 413
