"""What is about one request opens nothing for others: things that it names, and its size. What is about the account or the model leads on."""

import json

import pytest

from app.config.schema import BreakerConfig
from app.gateway.openai.provider_reason import read_reason, reason_of
from app.gateway.openai.refusal_kind import kind_of_error, kind_of_refusal
from otel.events import BreakerChanged

BREAKER = BreakerConfig(consecutive_failures=3, open_seconds=60.0)

NAMED = [
    (404, "No allowed providers are available for the selected model.", {"provider": {"only": ["x"]}}),
    (404, "All providers have been ignored.", {"provider": {"ignore": ["x"]}}),
    (404, "No endpoints found matching your data policy", {"provider": {"data_collection": "deny"}}),
    (404, "The model `gpt-9` does not exist", {"models": ["gpt-9"]}),
    (400, "gpt-9 is not a valid model ID", {"models": ["gpt-9"]}),
    (404, "No such upload: file-abc", {"file_ids": ["file-abc"]}),
    (404, "Failed to download image: 404 Not Found", {}),
    (404, "Tool 'foo' not found", {"tools": [{"type": "function", "function": {"name": "foo"}}]}),
    (404, "Previous response with id 'resp_1' not found.", {"previous_response_id": "resp_1"}),
    (403, "You do not have permission to use file-abc", {"file_ids": ["file-abc"]}),
    (403, "service_tier flex is not available", {"service_tier": "flex"}),
]
NOT_NAMED = [
    (404, "No endpoints found matching your data policy", None, "model_unavailable"),
    (404, "The model `alpha-tiny` does not exist; try 'gpt-9'", None, "model_unavailable"),
    (404, "Invalid URL (POST /v1/chat/completions)", None, "model_unavailable"),
    (400, "Model Not Exist", None, "model_unavailable"),
    (403, "Project `proj_x` does not have access to model `alpha-tiny`", "model_not_found", "model_unavailable"),
    (403, "This key has no access to the model", None, "model_unavailable"),
    (403, "Forbidden", None, "upstream_auth"),
    (400, "User location is not supported for the API use.", "FAILED_PRECONDITION", "upstream_auth"),
    (400, "Access denied, please make sure your account is in good standing.", "Arrearage", "upstream_quota"),
    (403, "Key limit exceeded (total limit).", None, "upstream_quota"),
    (403, "Out of call volume quota.", None, "upstream_quota"),
    (403, "The account has an overdue balance", "AccountOverdueError", "upstream_quota"),
    (429, "No balance. Please recharge.", "1113", "upstream_quota"),
    (400, "Content Exists Risk", "invalid_request_error", "content_policy"),
    # How providers name a model that they do not serve: Hugging Face, Bedrock, Zhipu, Azure, llama-swap, Vertex, watsonx, and others.
    (400, "The requested model 'alpha-tiny' is not supported by any provider you have enabled.", "model_not_supported", "model_unavailable"),
    (400, "The requested model 'alpha-tiny' is not supported by any provider you have enabled.", None, "model_unavailable"),
    (400, "The provided model identifier is invalid.", "validation_error", "model_unavailable"),
    (400, "\u6a21\u578b\u4e0d\u5b58\u5728", "1211", "model_unavailable"),
    (400, "Unavailable model: alpha-tiny", "unavailable_model", "model_unavailable"),
    (400, "could not find real modelID for alpha-tiny", None, "model_unavailable"),
    (400, "Project `1` is not allowed to use Publisher Model `alpha-tiny`", None, "model_unavailable"),
    (400, "Model 'alpha-tiny' is not supported for this environment.", "model_not_supported", "model_unavailable"),
    (400, "The model 'alpha-tiny' has reached its end of life.", None, "model_unavailable"),
    (400, "The model `alpha-tiny-3.1` does not exist", None, "model_unavailable"),
    (400, "model alpha-tiny is deprecated", None, "model_unavailable"),
    (403, "Model disabled.", "30003", "model_unavailable"),
    (403, "Model access denied.", "Model.AccessDenied", "model_unavailable"),
    (403, "The account has not activated the model alpha-tiny", "ModelNotOpen", "model_unavailable"),
    # About a parameter, or a feature of the model: another request is served.
    (400, "Support for functions has been removed", None, "upstream_4xx"),
    (400, "`temperature` is deprecated for this model.", None, "upstream_4xx"),
    (400, "Model alpha-tiny: parameter logprobs is not supported", None, "upstream_4xx"),
    (400, "Model alpha-tiny is not supported with this endpoint", None, "upstream_4xx"),
    (400, "The model is fine. Image not found", None, "upstream_4xx"),
    (400, "This model does not support tools", None, "upstream_4xx"),
]  # fmt: skip
FLAGGED = [
    (
        403,
        "Content violates usage guidelines. Team: t, API key ID: k, Failed check: SAFETY_CHECK_TYPE_BIO",
        "permission-denied",
    ),
    (403, "This request was blocked.", "cyber_policy"),
    (
        403,
        "The request failed because the input may be related to a person.",
        "InputTextSensitiveContentDetected.PrivacyInformation",
    ),
    (403, "NSFW content detected", None),
    (403, "The prompt is unsafe", None),
    (400, "The request failed because the input text may contain sensitive information.", None),
    (400, "系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"),
    (400, "The prompt was blocked: PROHIBITED_CONTENT", None),
    (400, "Your prompt was flagged. Your account may be suspended when this happens again.", "invalid_prompt"),
    (422, "input new_sensitive (1026)", None),
]
OF_THE_ACCOUNT = [
    (403, "Your organization has violated our usage policies and access was suspended."),
    (403, "Your access was terminated due to violation of our policies, please check your email."),
    (403, "Access denied: your IP address violates our access policy"),
    (400, "Your account has been flagged for violations of the content policy."),
]
SIZES = [
    (429, "Request too large for gpt on tokens per min (TPM): Limit 30000, Requested 60000. It must be reduced."),
    (402, "This request requires more credits, or fewer max_tokens. You can only afford 2000."),
]
TIERS = [
    (429, "Flex is unavailable. Try again later, or use the default service tier.", None),
    (429, "Resource Unavailable", "resource_unavailable"),
    (429, "There is no capacity for service_tier 'flex' at the moment.", None),
    (498, "", None),
]


def kind_of(status, message, sent, code=None):
    reason = read_reason(json.dumps({"error": {"message": message, "code": code}}).encode())
    return kind_of_refusal(status, reason, sent, "alpha-tiny")


def says(status, message, headers=None):
    async def script(exchange):
        await exchange.reply({"error": {"message": message}}, status, headers)

    return script


@pytest.mark.parametrize(("status", "message", "fields"), NAMED)
@pytest.mark.parametrize("is_escaped", [False, True])
def test_what_a_request_names_is_its_own_fault(*, status, message, fields, is_escaped):
    sent = json.dumps({"model": "tiny", **fields}).encode()
    if is_escaped:
        sent = sent.replace(b"gpt-9", b"\\u0067pt-9").replace(b"file-abc", b"\\u0066ile-abc")
    assert kind_of(status, message, sent) == "upstream_4xx"


@pytest.mark.parametrize(("status", "message", "code", "kind"), NOT_NAMED)
def test_what_it_does_not_name_is_the_accounts_or_the_models(*, status, message, code, kind):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert kind_of(status, message, sent, code) == kind


@pytest.mark.parametrize(("status", "message", "code"), FLAGGED)
def test_what_a_prompt_is_about_is_policy(status, message, code):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert kind_of(status, message, sent, code) == "content_policy"


@pytest.mark.parametrize(("status", "message"), OF_THE_ACCOUNT)
def test_a_policy_about_the_account_is_no_fault_of_the_caller(status, message):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert kind_of(status, message, sent) == "upstream_auth"


def test_a_firewall_that_refuses_what_a_request_holds_opens_nothing():
    text = "The action you just performed triggered the security solution: submitting a certain word, a SQL command."
    page = f"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body><p>{text}</p></body></html>"
    reason = read_reason(page.encode())
    assert (kind_of_refusal(403, reason, b"{}"), reason.message) == (
        "content_policy",
        "Attention Required! | Cloudflare",
    )
    other = read_reason(b"<html><head><title>403 Forbidden</title></head><body>nginx</body></html>")
    assert kind_of_refusal(403, other, b"{}") == "upstream_auth"


def test_a_router_that_names_the_flagged_input_flags_the_prompt():
    error = {"code": 403, "message": "Refused", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}
    assert kind_of_refusal(403, read_reason(json.dumps({"error": error}).encode()), b"{}") == "content_policy"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 10013, "message": "input content audit failed"}, "content_policy"),
        ({"status_code": 1026, "status_msg": "input new_sensitive"}, "content_policy"),
        ({"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}, "rate_limited"),
        ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limited"),
        ({"__type": "com.amazonaws.x#ThrottlingException", "message": "slow down"}, "rate_limited"),
        ({"code": 10013, "message": "busy"}, "bad_response"),
        ({"code": 1, "message": "insufficient balance, invalid api key"}, "bad_response"),
    ],
)
def test_an_error_inside_a_200_is_read_by_its_words_only_where_they_take_blame_away(error, kind):
    assert kind_of_error(reason_of({"error": error})) == kind


def test_the_public_name_of_the_model_is_no_thing_of_the_callers():
    """A configuration may call a model as its provider does, or by a name that the provider quotes."""
    sent = json.dumps({"model": "gpt-4o", "messages": []}).encode()
    assert kind_of(404, "The model `gpt-4o` does not exist", sent) == "model_unavailable"


def test_a_request_too_large_to_be_searched_takes_no_model_down():
    sent = json.dumps({"model": "tiny", "models": ["gpt-9"], "messages": ["x" * 300_000]}).encode()
    assert kind_of(404, "The model `gpt-9` does not exist", sent) == "upstream_4xx"
    assert kind_of(404, "The model `alpha-tiny` does not exist", sent) == "model_unavailable"


@pytest.mark.live
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "message"), SIZES)
async def test_a_refused_size_leads_on_and_opens_nothing(make_upstream, make_gateway, *, status, message, stream):
    first = await make_upstream(says(status, message, {"retry-after": "30"}))
    second = await make_upstream(name="beta")
    gateway = await make_gateway(first, second, breaker=BREAKER)
    for _ in range(5):
        response = await gateway.chat(stream=stream)
        assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    assert len(first.exchanges) == 5
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts] == ["size_refused", None] * 5
    assert recorded.of(BreakerChanged) == []
    assert not gateway.states["alpha"].error_rate


@pytest.mark.live
async def test_a_size_that_every_provider_refuses_is_a_413(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(says(*SIZES[0])), breaker=BREAKER)
    response = await gateway.chat()
    assert (response.status, response.json["error"]["message"]) == (413, SIZES[0][1])


@pytest.mark.parametrize(("status", "message", "code"), TIERS)
def test_a_lack_of_capacity_for_a_tier_is_told_apart(status, message, code):
    assert kind_of(status, message, b'{"model": "tiny", "service_tier": "flex"}', code) == "tier_unavailable"


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        # Without a tier in the request the limit is the model's.
        (TIERS[0][1], b'{"model": "tiny"}'),
        ("Rate limit reached for requests. Your usage tier is 1.", b'{"model": "tiny", "service_tier": "flex"}'),
        ("Too many requests", b'{"model": "tiny", "service_tier": "flex"}'),
    ],
)
def test_any_other_429_is_a_rate_limit(message, sent):
    assert kind_of(429, message, sent) == "rate_limited"


@pytest.mark.live
@pytest.mark.parametrize("stream", [False, True])
async def test_a_tier_without_capacity_pauses_the_model_for_nobody(make_upstream, make_gateway, wire, *, stream):
    async def script(exchange):
        if exchange.json.get("service_tier") == "flex":
            await exchange.reply({"error": {"message": TIERS[0][1]}}, 429, {"retry-after": "30"})
        else:
            await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(script), breaker=BREAKER)
    for _ in range(5):
        refused = await gateway.chat(stream=stream, service_tier="flex")
        assert (refused.status, refused.json["error"]["code"]) == (429, "upstream_rate_limited")
        assert (await gateway.chat(stream=stream)).status == 200
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts] == ["tier_unavailable", None] * 5
    assert recorded.of(BreakerChanged) == []
    assert not gateway.states["alpha"].error_rate


@pytest.mark.live
@pytest.mark.parametrize(("size", "kind"), [(600_000, "size_refused"), (100, "connect_error")])
async def test_who_hangs_up_on_a_large_body_may_serve_small_ones(make_upstream, make_gateway, *, size, kind):
    async def hang_up(exchange):
        exchange.close()

    first, second = await make_upstream(hang_up), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, breaker=BREAKER)
    for _ in range(4):
        response = await gateway.chat(messages=[{"role": "user", "content": "x" * size}])
        assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    recorded = await gateway.finished()
    assert {each.error_kind for each in recorded.attempts} == {kind, None}
    assert bool(recorded.of(BreakerChanged)) == (kind == "connect_error")
