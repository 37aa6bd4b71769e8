"""What holds for every value, key, route, template and chain, whatever is in it.

A failure prints the example and a blob that reproduces it; `pytest --hypothesis-seed` repeats a whole run.
"""

import json
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from enchain.chains import chains, cohort, routes, runtime, templates, values
from enchain.chains.digests import canonical, digest_of
from enchain.chains.names import ChainName
from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText, to_python, to_value
from enchain.state import codec
from enchain.v1 import chain_pb2, value_pb2
from tests.harness.sites import derived, site

# No deadline: how long an example takes says something of the machine, and nothing of the code.
EVERY = settings(print_blob=True, deadline=None, max_examples=200)
FEWER = settings(print_blob=True, deadline=None, max_examples=30)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
holes = st.builds(EngineVariable, st.from_regex(r"[a-z]{1,5}", fullmatch=True))
wire = st.recursive(
    scalars
    | st.builds(SecretRef, text)
    | st.lists(text | holes, max_size=4).map(lambda parts: TemplateText(tuple(parts))),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
    max_leaves=12,
)
plain = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
    max_leaves=12,
)


def _same(one: Json, other: Json) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three things."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(of: Json) -> Json:
    if isinstance(of, dict):
        return {key: _sorted(of[key]) for key in sorted(of)}
    return [_sorted(item) for item in of] if isinstance(of, list) else of


@EVERY
@given(wire)
def test_a_value_comes_back_as_it_went(of: Json) -> None:
    assert _same(to_python(to_value(of)), of)


@EVERY
@given(wire)
def test_a_value_survives_its_json_byte_for_byte(of: Json) -> None:
    stored = codec.encode(to_value(of))
    read = codec.decode(value_pb2.Value, stored)

    assert codec.encode(read) == stored
    json.loads(stored)


@EVERY
@given(st.dictionaries(text, plain, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_map_changes_no_digest(of: dict[str, Json], random: Json) -> None:
    names = list(of)
    random.shuffle(names)
    one = chain_pb2.Chain(outputs=values.to_value_map(of))
    other = chain_pb2.Chain(outputs=values.to_value_map({name: of[name] for name in names}))

    assert digest_of(one) == digest_of(other)
    assert canonical(one) == canonical(other)


@EVERY
@given(st.text(), st.text())
def test_every_key_has_a_bucket(seed: str, key: str) -> None:
    assert 0 <= cohort.bucket(seed, key) < cohort.BUCKETS


@st.composite
def whole_routes(draw: st.DrawFn) -> chain_pb2.Route:
    """Routes whose shares are cut at random places and written in any order."""
    cuts = draw(st.sets(st.integers(1, cohort.BUCKETS - 1), max_size=8))
    edges = [0, *sorted(cuts), cohort.BUCKETS]
    shares = [
        chain_pb2.RouteShare(chain=str(ChainName("site", f"c{i}", "1")), start=start, end=end)
        for i, (start, end) in enumerate(pairwise(edges))
    ]
    return chain_pb2.Route(name="workloads/site/route", shares=draw(st.permutations(shares)))


@EVERY
@given(whole_routes(), st.text())
def test_a_whole_route_sends_every_key_to_exactly_one_chain(route: chain_pb2.Route, key: str) -> None:
    checked = routes.check(route)
    choice = cohort.choose(checked, key)

    holding = [s.chain for s in checked.shares if s.start <= choice.bucket < s.end]
    assert holding == [choice.chain]
    assert sum(s.end - s.start for s in checked.shares) == cohort.BUCKETS


sources = st.sampled_from(
    ["a", "inputs.a", "{'a': {'b': '}'}}", "'${'", '"}"', "a // }\n", r"r'\'", "x ? '{' : \"'\""]
)
parts = st.lists(
    st.text(st.sampled_from("ab ${}'\"\\"), min_size=1, max_size=6) | st.builds(templates.Hole, sources),
    max_size=6,
)


def _joined(of: list[templates.Part]) -> list[templates.Part]:
    joined: list[templates.Part] = []
    for part in of:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


@EVERY
@given(parts)
@example(["$$", templates.Hole("a")])
def test_a_template_reads_as_it_was_written(of: list[templates.Part]) -> None:
    normal = templates.parse(templates.show(tuple(_joined(of))))

    assert templates.parse(templates.show(normal)) == normal
    # A dollar before a hole is written as a hole of its own; what it all means stays the same.
    assert _flat(list(normal)) == _flat(of)


def _flat(of: list[templates.Part]) -> str:
    return "".join(
        "$" if p == templates.Hole("'$'") else repr(p) if isinstance(p, templates.Hole) else p for p in of
    )


@EVERY
@given(st.text(st.sampled_from("ab ${}'\"\\r/\n"), max_size=20))
def test_any_text_is_read_or_refused_with_a_reason(of: str) -> None:
    found: tuple[templates.Part, ...] = ()
    refusals = []
    try:
        found = templates.parse(of)
    except templates.TemplateError as error:
        refusals = [v.description for v in error.violations]

    assert bool(found) != bool(refusals) or not of
    assert all(found)


@FEWER
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), plain, min_size=1, max_size=4))
def test_inputs_pass_through_a_chain_exactly_as_they_came(of: dict[str, Json]) -> None:
    chain = derived(site())
    step = chain_pb2.ChainStep(
        steps=["serve"], inputs={n: to_value(f"${{inputs.{n}}}") for n in of if n != "in"}
    )
    scope = runtime.scope_of(chain, inputs=values.to_value_map(of))

    rendered = values.to_python_map(runtime.render_inputs(step, scope))

    assert _same(rendered, {n: v for n, v in of.items() if n != "in"})


@FEWER
@given(st.sampled_from(["", "x", "größe"]), st.sampled_from(["", "7"]))
def test_checking_a_chain_twice_is_checking_it_once(description: str, etag: str) -> None:
    chain = derived(site())
    chain.description, chain.etag = description, etag
    checked = chains.check(chain)

    assert chains.check(checked) == checked
