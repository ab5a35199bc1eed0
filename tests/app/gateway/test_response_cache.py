"""The cache in this process: what is the same request, what is deterministic, what is kept."""

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.clock import ManualClock
from app.gateway.response_cache import ENTRY_OVERHEAD_BYTES, MemoryResponseCache, cache_key, is_deterministic

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8).filter(lambda text: text.isprintable()),
)
bodies = st.dictionaries(
    st.text(max_size=5).filter(str.isprintable),
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3).filter(str.isprintable), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


def key(body: bytes, key_id: str = "key_1", model: str = "small") -> bytes:
    return cache_key(key_id=key_id, model=model, body=body)


def shuffled(value, chance):
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance) for name in names}
    return [shuffled(each, chance) for each in value] if isinstance(value, list) else value


@given(bodies, st.randoms(use_true_random=False))
def test_the_order_of_fields_and_white_space_do_not_matter(body, chance) -> None:
    assert key(json.dumps(body).encode()) == key(json.dumps(shuffled(body, chance), indent=3).encode())


@given(bodies, bodies)
def test_other_content_is_another_key(one, other) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(json.dumps(one).encode()) == key(json.dumps(other).encode())) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"seed":12345678901234567890123456789}', b'{"seed":12345678901234567890123456788}'),
        (b'{"top_p":0.10000000000000000001}', b'{"top_p":0.1}'),
        (b'{"x":1e400}', b'{"x":1e401}'),
        (b'{"user":"a"}', b'{"user":"b"}'),
        (b'{"stream":false}', b"{}"),
        (b'{"a":null}', b"{}"),
    ],
)
def test_numbers_types_and_every_field_count(one, other) -> None:
    assert key(one) != key(other)


def test_escapes_are_the_text_that_they_stand_for() -> None:
    assert key(b'{"a":"\\u00e9\\/"}') == key('{"a":"é/"}'.encode())


def test_callers_and_models_do_not_share_responses() -> None:
    assert len({key(b"{}"), key(b"{}", key_id="key_2"), key(b"{}", model="large"), key(b"{}", "key_1s", "mall")}) == 4
    assert len(key(b"{}")) == 32


def test_what_is_no_json_has_no_key() -> None:
    for body in (b"", b"{", b'{"a":NaN}', b"\xff"):
        with pytest.raises(msgspec.DecodeError):
            key(body)


@pytest.mark.parametrize(
    ("temperature", "n", "stream", "response"),
    [
        (0, None, None, True),
        (0.0, 1, False, True),
        (-0.0, None, None, True),
        (None, None, None, False),
        (0.01, None, None, False),
        (False, None, None, False),
        ("0", None, None, False),
        (0, 2, None, False),
        (0, True, None, False),
        (0, None, True, False),
        (0, None, "no", False),
    ],
)
def test_deterministic_is_said_in_so_many_words(temperature, n, stream, response) -> None:
    assert is_deterministic(temperature=temperature, n=n, stream=stream) is response


async def test_a_response_is_kept_until_its_time_is_over() -> None:
    clock = ManualClock()
    cache = MemoryResponseCache(10_000, clock)
    assert await cache.get(b"k") is None
    await cache.put(b"k", b"answer", 10)
    clock.advance(9.99)
    assert await cache.get(b"k") == b"answer"
    await cache.put(b"k", b"newer", 10)
    clock.advance(9.99)
    assert await cache.get(b"k") == b"newer"
    clock.advance(0.02)
    assert await cache.get(b"k") is None
    assert (len(cache), cache.used_bytes) == (0, 0)
    await cache.put(b"k", b"never", 0)
    assert len(cache) == 0


async def test_the_least_recently_used_goes_first() -> None:
    size = len(b"a") + 100 + ENTRY_OVERHEAD_BYTES
    cache = MemoryResponseCache(3 * size, ManualClock())
    for name in (b"a", b"b", b"c"):
        await cache.put(name, b"x" * 100, 60)
    assert await cache.get(b"a") is not None
    await cache.put(b"d", b"x" * 100, 60)
    assert [name for name in (b"a", b"b", b"c", b"d") if await cache.get(name)] == [b"a", b"c", b"d"]
    assert cache.used_bytes == 3 * size


async def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    cache = MemoryResponseCache(1_000, ManualClock())
    await cache.put(b"small", b"x", 60)
    await cache.put(b"large", b"x" * 1_000, 60)
    assert await cache.get(b"small") == b"x"
    assert await cache.get(b"large") is None


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), st.integers(0, 700), st.floats(-1, 20)), max_size=40
    )
)
async def test_the_bound_holds_whatever_is_put(puts) -> None:
    clock = ManualClock()
    cache = MemoryResponseCache(2_000, clock)
    for name, size, seconds in puts:
        await cache.put(name, b"x" * size, max(seconds, 0))
        clock.advance(abs(seconds) / 3)
        await cache.get(name)
        kept = sum(len(each) + len(value) + ENTRY_OVERHEAD_BYTES for each, (value, _) in cache._entries.items())
        assert cache.used_bytes == kept <= 2_000


async def test_the_overhead_of_an_entry_is_not_understated() -> None:
    cache = MemoryResponseCache(10**9, ManualClock())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5_000):
            await cache.put(number.to_bytes(32, "big"), bytes(100), 60.0 + number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 * cache.used_bytes < after - before <= cache.used_bytes
