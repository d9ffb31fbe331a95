"""The panel's dictionaries and modules, read as files: the same keys and names in both languages, every key that a page asks for, no
markup from text, and no call that the API does not document."""

import json
import re
import subprocess

import pytest
import yaml
from harness import ROOT

PANEL = ROOT / "control" / "panel"
MODULES = [path for folder in ("lib", "pages") for path in (PANEL / folder).glob("*.js")] + [PANEL / "main.js"]
SOURCE = "\n".join(path.read_text() for path in MODULES)


def exported(path, name):
    script = f"const it = await import('file://{path}'); console.log(JSON.stringify(it.{name}));"
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=[("text", "default"), ("guides", "guides")], ids=["text", "guides"])
def both(request, tmp_path_factory):
    folder, name = request.param
    copies = tmp_path_factory.mktemp("modules")
    for language in ("it", "en"):  # node takes .mjs for a module anywhere
        (copies / f"{language}.mjs").write_text((PANEL / folder / f"{language}.js").read_text())
    return [flat(exported(copies / f"{language}.mjs", name)) for language in ("it", "en")]


def flat(value, path=()):
    if isinstance(value, dict):
        return {key: text for name, one in value.items() for key, text in flat(one, (*path, name)).items()}
    if isinstance(value, list):
        return {key: text for number, one in enumerate(value) for key, text in flat(one, (*path, number)).items()}
    return {path: str(value)}


def test_both_languages_have_the_same_keys_and_names(both):
    italian, english = both
    assert set(italian) == set(english)
    for key in italian:
        assert set(re.findall(r"\{[A-Z]+\}", italian[key])) == set(re.findall(r"\{[A-Z]+\}", english[key])), key
        assert italian[key].strip() and english[key].strip(), key
        assert italian[key].count("|") == english[key].count("|") or key == ("guide.errors.all",), key


def keys():
    text = (PANEL / "text" / "en.js").read_text()
    return set(re.findall(r"^\t'([^']+)':", text, re.M))


def test_each_key_that_a_page_asks_for_is_there():
    known = keys()
    asked = set(re.findall(r"\b(?:t|parts)\('([^']+)'", SOURCE))
    assert len(asked) > 300 and asked <= known, asked - known
    for stem in re.findall(r"\b(?:t|parts)\(`([a-z_]+\.)\$\{", SOURCE):
        assert any(key.startswith(stem) for key in known), stem


def test_nothing_becomes_markup():
    for path in MODULES:
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|javascript:", text), path


def test_no_module_and_no_page_reaches_elsewhere():
    for path in PANEL.rglob("*"):
        if path.suffix in (".js", ".html", ".css"):
            found = re.findall(r"""(?:src|href|from|import\(|url\()\s*=?\s*["'`(]*((?:https?:)?//[^"'`)\s]+)""", path.read_text())
            assert not found, (path, found)


def test_each_call_is_documented():
    paths = yaml.safe_load((ROOT / "control" / "http" / "openapi.yaml").read_text())["paths"]
    known = {(method.upper(), re.sub(r"\{[^}]+\}", "*", path).strip("/")) for path, methods in paths.items() for method in methods}
    calls = set()
    for method, _, path in re.findall(r"call\('([A-Z]+)', (['`])([^'`]+)\2", SOURCE):
        path = path.replace("${mine}", "accounts/*").replace("${route}", "accounts/*/tokens")
        path = re.sub(r"\$\{at\((?:'([a-z]+)', )?[^()]*?(?:, '([a-z]+)')?\)\}",
                      lambda found: "/".join(filter(None, [found[1], "*", found[2]])), path)
        calls.add((method, re.sub(r"\$\{[^}]+\}", "*", path)))
    calls -= {("GET", "*")}
    wrong = {(method, path) for method, path in calls
             if not any(method == other and re.fullmatch(pattern.replace("*", "[^/]+"), path) for other, pattern in known)}
    assert len(calls) > 15 and not wrong, wrong


def test_help_has_the_same_answers_in_both_languages():
    italian, english = ((PANEL / "help" / f"{language}.html").read_text() for language in ("it", "en"))
    for pattern in (r'id="([^"]+)"', r'href="(#[^"]+)"'):
        assert re.findall(pattern, italian) == re.findall(pattern, english)
    assert set(re.findall(r'href="#([^"]+)"', english)) <= set(re.findall(r'id="([^"]+)"', english))
    assert "<script src" in english and "<script>" not in english and " style=" not in english


CONTRAST = [("text", "bg", 7), ("text", "surface", 7), ("soft", "bg", 4.5), ("soft", "raised", 4.5), ("accent", "bg", 4.5), ("on-accent", "accent", 4.5),
            *((one, f"{one}-bg", 4.5) for one in ("ok", "warn", "bad", "hold", "info", "off")), ("edge", "bg", 3), ("accent", "raised", 3)]


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_each_pair_of_colours_can_be_read():
    blocks = re.findall(r"\{([^{}]*--bg:[^{}]*)\}", (PANEL / "panel.css").read_text())
    assert len(blocks) == 3 and blocks[1].split() == blocks[2].split()
    for block in blocks:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for front, back, least in CONTRAST:
            light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (front, back)
