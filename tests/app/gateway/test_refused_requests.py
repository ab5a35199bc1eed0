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
    (410, "Live search is deprecated. Please switch to the Agent Tools API.", {"search_parameters": {"mode": "auto"}}),
    (404, "A voice with voice_id abc was not found.", {"audio": {"voice": {"id": "abc"}, "format": "mp3"}}),
    (404, "voice not found", {"audio": {"voice": "nova9", "format": "mp3"}}),
    (404, "Not found: cached content", {"extra_body": {"google": {"cachedContent": "x"}}}),
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
# About the gateway's account, the target or its `base_url`: nothing that a request has.
NOT_THE_CALLERS = [
    (404, "No allowed providers are available for the selected model.", None, "model_unavailable"),
    (404, "All providers have been ignored. To change your default ignored providers, visit the preferences.", None, "model_unavailable"),
    (400, "Your organization must be verified to stream this model.", "unsupported_value", "model_unavailable"),
    (400, "Organization has been restricted. Please reach out to support.", "organization_restricted", "upstream_auth"),
    (400, "Refused.", "project_suspended", "upstream_auth"),
    (400, "This organization has been disabled.", "invalid_request_error", "upstream_auth"),
    (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01.", None, "upstream_quota"),
    (400, "API key does not have permission to use the model alpha-tiny", None, "model_unavailable"),
    (403, "You are not allowed to sample from this model", None, "model_unavailable"),
    (400, "Invocation of model ID alpha-tiny with on-demand throughput isn\u2019t supported.", None, "model_unavailable"),
    (400, "The chatCompletion operation does not work with the specified model, alpha-tiny.", "OperationNotSupported", "model_unavailable"),
    (400, "The embeddings operation does not work with the specified model, alpha-tiny.", None, "model_unavailable"),
    (400, "Function id 'x': DEGRADED function cannot be invoked", None, "model_unavailable"),
    (400, "registry.ollama.ai/library/alpha-tiny:latest does not support chat", None, "model_unavailable"),
    (400, "The model alpha-tiny does not support Chat Completions API.", None, "model_unavailable"),
    (400, "Model alpha-tiny is not loaded", None, "model_unavailable"),
    (400, "Rejected request: api_key is not allowed in request body.", None, "upstream_4xx"),
    (400, "This model does not support chat templates with images", None, "upstream_4xx"),
    (400, "400 The plain HTTP request was sent to HTTPS port", None, "model_unavailable"),
    (400, "Client sent an HTTP request to an HTTPS server.", None, "model_unavailable"),
    (400, "Failed to fetch image: 400 The plain HTTP request was sent to HTTPS port", None, "upstream_4xx"),
    (421, "Misdirected request", None, "model_unavailable"),
    (426, "upgrade required", None, "model_unavailable"),
    (424, "The request failed due to an error while processing the model.", None, "upstream_5xx"),
    (424, "Error retrieving the tool list from MCP server", None, "upstream_4xx"),
    (424, "insufficient balance", None, "upstream_quota"),
    (421, "Moderation block", "content_filter", "content_policy"),
    (499, "The operation was cancelled.", "CANCELLED", "upstream_5xx"),
    # Not what a model's name ends in, and who runs a model downloads it.
    (404, "Model gen-image not found", None, "model_unavailable"),
    (404, "model acme/tool does not exist", "model_not_found", "model_unavailable"),
    (404, "Image does not exist", "model_not_found", "model_unavailable"),
    (404, "model 'alpha-tiny' not found, download it first", None, "model_unavailable"),
    (404, "Failed to fetch model alpha-tiny: not found", None, "model_unavailable"),
    (404, "Failed to fetch alpha-tiny: not found", None, "model_unavailable"),
    (404, "The deployment named in 'model' could not be found", None, "model_unavailable"),
    (404, "Resource 'chat' with role 'user' not found", None, "model_unavailable"),
]  # fmt: skip
# How vendors write that the gateway's own credit is gone: SiliconFlow, Novita, xAI, DashScope, one-api, DeepInfra, Zhipu, and others.
NO_CREDIT = [
    {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None},
    {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"},
    {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "refused"},
    {"message": "You do not have enough balance."},
    {
        "code": "The caller does not have permission to execute the specified operation",
        "error": "Your newly created team doesn't have any credits yet. You can purchase credits on https://console.x.ai.",
    },
    {"message": "Your team doesn\u2019t have credits."},
    {"message": "Refused.", "code": "AllocationQuota.FreeTierOnly", "type": "AllocationQuota.FreeTierOnly"},
    {"message": "The free tier of the model has been exhausted."},
    {"message": "Free allocated quota exceeded."},
    {"message": "Access denied, please make sure your account is in good standing."},
    {"message": "Refused.", "code": "insufficient_user_quota"},
    {"message": "Refused.", "code": "InsufficientBalanceError"},
    {"message": "Refused.", "code": "no_credits"},
    {"message": "Refused.", "code": "account_balance_not_enough"},
    {"message": "Refused.", "code": "credits_exhausted"},
    {"message": "Refused.", "code": "QuotaExceeded"},
    {"message": "Your account has no remaining credits"},
    {"message": "Your credits have been used up"},
    {"message": "insufficient account balance"},
    {"message": "The team has used up its credits"},
    {"detail": {"error": "inference prohibited, please enter a payment method for this model before it can be used"}},
    {"message": "账户余额不足"},
]  # fmt: skip
NOT_OF_CREDIT = [
    (403, {"message": "Refused.", "code": "load_balancer_error"}, "upstream_auth"),
    (400, {"message": "The parentheses do not balance"}, "upstream_4xx"),
    (400, {"message": "The quota of images in one request is 4"}, "upstream_4xx"),
    (400, {"message": "The number of images of a free trial exceeded 4"}, "upstream_4xx"),
    (400, {"message": "credit_card is no valid entity"}, "upstream_4xx"),
]
GROQ_SIZE = (
    "Request too large for model `alpha-tiny` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 6000,"
    " Requested 7000, please reduce your message size and try again."
)
# About the target of the operator, its `base_url` or the account: the whole error object.
OF_THE_TARGET = [
    (403, {"message": "Model `alpha-tiny` is blocked.", "type": "permissions_error", "code": "model_permission_blocked_project"}),
    (403, {"message": "The model `alpha-tiny` is blocked.", "type": "permissions_error", "code": "model_permission_blocked_org"}),
    (400, {"message": "The model `alpha-tiny` is blocked.", "code": "model_permission_blocked_org"}),
    (
        400,
        {
            "message": "The model `alpha-tiny` requires terms acceptance. Please have the org admin accept the terms.",
            "type": "invalid_request_error",
            "code": "model_terms_required",
        },
    ),
    (400, {"message": "API version not supported", "code": "BadRequest"}),
    (400, {"message": "Model alpha-tiny is enabled only for api versions 2024-12-01-preview and later", "code": "BadRequest"}),
    (400, {"message": "The api-version query parameter (?api-version=) is required for all requests.", "code": "MissingApiVersionParameter"}),
    (501, {"message": "This server does not support embeddings. Start it with `--embeddings`", "type": "not_supported_error"}),
    (501, {"message": "Not Implemented"}),
    (501, {}),
    *((status, {"message": "no"}) for status in (406, 411, 415, 431)),
    (415, {"message": 'Unsupported media type "application/json" in request.'}),
    (415, {"message": "Content-Type 'application/json' is not supported"}),
    (406, {"message": "'text/event-stream' is not acceptable"}),
]  # fmt: skip
# The same statuses, about what one request has.
OF_ONE_REQUEST = [
    (
        501,
        {"message": "This server does not support tools. Start it with `--jinja`", "type": "not_supported_error"},
        {"tools": []},
    ),
    (501, {"message": "This server does not support logit_bias"}, {"logit_bias": {}}),
    (501, {"message": "Logit bias is not implemented."}, {"logit_bias": {}}),
    (501, {"message": "Refused.", "param": "tools"}, {"tools": []}),
    (501, {"message": "The model does not support image input"}, {"messages": []}),
    (415, {"message": "Unsupported image type 'image/bmp'"}, {"messages": ["data:image/bmp;base64,AA"]}),
    (431, {"message": "Refused.", "param": "metadata"}, {"metadata": {}}),
]
OUR_BUDGET = [
    {"message": "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "type": "budget_exceeded"},
    {"message": "ExceededBudget: Crossed spend within team", "type": "budget_exceeded"},
    {"message": "ExceededBudget: User=u1 over budget. Spend=12.0, Budget=10.0", "type": "budget_exceeded"},
]  # fmt: skip
APACHE = (
    '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n<title>400 Bad Request</title>\n</head><body>\n'
    "<h1>Bad Request</h1>\n<p>Your browser sent a request that this server could not understand.<br />\n"
    "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n</p>\n</body></html>"
)
WRONG_ADDRESSES = [
    (APACHE, "speaking plain HTTP to an SSL-enabled server port"),
    (
        "<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD>\r\n<BODY><h2>Bad Request - Invalid Hostname</h2>\r\n<hr></BODY></HTML>",
        "Bad Request - Invalid Hostname",
    ),
    (
        "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        "Bad Request This combination of host and port requires TLS.",
    ),
]
# A 403 about a member of the request: without it the request is served.
OF_A_MEMBER = [
    ({"message": "Organizations of this kind may not set store=true", "type": "invalid_request_error", "param": "store"}, {"store": True}),
    ({"message": "Not for you.", "type": "permission_error", "param": "store"}, {"store": False}),
    ({"message": "Your organization is not allowed to use it.", "param": "tools[0].function"}, {"tools": []}),
    ({"message": "Refused.", "param": "/body/seed"}, {"seed": 1}),
    ({"message": "Streaming is not for you.", "param": "stream"}, {"stream": True}),
    ({"message": "You are not allowed to request logprobs from this model", "type": "invalid_request_error"}, {"logprobs": True}),
    ({"message": "`Seed` is refused for your team", "type": "invalid_request_error"}, {"seed": 1}),
    ({"message": "CachedContent not found (or permission denied)", "status": "PERMISSION_DENIED"}, {"cached_content": "cachedContents/1"}),
    (
        {"code": 403, "message": "CachedContent not found (or permission denied)", "status": "PERMISSION_DENIED"},
        {"extra_body": {"google": {"cached_content": "cachedContents/1"}}},
    ),
    ({"message": "Web search is not enabled for this organization.", "type": "permission_error"}, {"web_search_options": {}}),
]  # fmt: skip
# A 403 about the key, the account or the model, of a request that has what is like a member in it.
OF_THE_KEY = [
    ({"message": "Incorrect API key provided", "type": "invalid_request_error", "param": "store"}, "upstream_auth"),
    ({"message": "Refused.", "code": "invalid_api_key", "param": "store"}, "upstream_auth"),
    ({"message": "Refused.", "type": "auth_error", "param": "key"}, "upstream_auth"),
    ({"message": "Refused.", "type": "invalid_request_error", "param": "other"}, "upstream_auth"),
    ({"message": "Refused.", "type": "invalid_request_error", "param": None}, "upstream_auth"),
    ({"message": "Refused.", "type": "invalid_request_error", "param": ["store"]}, "upstream_auth"),
    ({"message": "This user may not do that", "type": "invalid_request_error"}, "upstream_auth"),
    ({"message": "The store is closed", "type": "permission_error"}, "upstream_auth"),
    ({"message": "The key may not be used from this store", "type": "invalid_request_error"}, "upstream_auth"),
    ({"message": "Insufficient permissions. Missing scopes. Check your role.", "type": "invalid_request_error"}, "upstream_auth"),
    ({"message": "Your organization has been disabled, and its store", "type": "invalid_request_error"}, "upstream_auth"),
    ({"message": "User location is not supported for the API use.", "status": "PERMISSION_DENIED"}, "upstream_auth"),
    ({"message": "Cached Content API has not been used in project 1 before or it is disabled.", "status": "PERMISSION_DENIED"}, "upstream_auth"),
    ({"message": "Your organization must be verified to stream this model.", "param": "stream"}, "model_unavailable"),
    ({"message": "The model does not exist", "code": "model_not_found", "param": "store"}, "model_unavailable"),
    ({"message": "You are not allowed to sample from this model", "type": "invalid_request_error", "param": "model"}, "model_unavailable"),
]  # fmt: skip
# Each with an everyday prompt that has some of its words, which are not a quotation.
EVERYDAY_WORDS = [
    (400, "Model Not Exist", "Do not invent facts. If a file does not exist, say so.", "model_unavailable"),
    (400, "Model Not Exist", "Why do we exist, and why not?", "model_unavailable"),
    (400, "The model `alpha-tiny` does not exist", "Which animals does a child think exist, and which not?", "model_unavailable"),
    (400, "alpha-tiny is not a valid model ID", "Please validate this JSON. It is not mine.", "model_unavailable"),
    (400, "The provided model identifier is invalid.", "My compiler: invalid identifier. What is it?", "model_unavailable"),
    (400, "Unknown model alpha-tiny", "Translate: unknown", "model_unavailable"),
    (400, "Your credit balance is too low to access the API.", "Is a low balance on a credit card too risky?", "upstream_quota"),
    (400, "Billing is not enabled on this project", "Explain billing", "upstream_quota"),
    (403, "Please check your plan and billing details", "Check our billing", "upstream_quota"),
    (400, "insufficient balance (1008)", "Is my balance insufficient for the rent?", "upstream_quota"),
    (400, "User location is not supported", "Which location is best for a picnic?", "upstream_auth"),
    (400, "API key not valid.", "How do I make a valid key for an API? Not urgent.", "upstream_auth"),
    (403, "Sorry, your account balance is insufficient", "Is an insufficient balance of an account bad?", "upstream_quota"),
    (400, "Your team doesn't have any credits yet", "Does the film have any credits?", "upstream_quota"),
    (400, "账户余额不足", "账户余额为什么不够?", "upstream_quota"),
    (403, "Your account has been suspended for violating our usage policies", "My account has been suspended.", "upstream_auth"),
    (404, "The deployment named in 'production' could not be found", "We deploy to production", "model_unavailable"),
]  # fmt: skip
# What the caller sent is in the message as it is, or as providers write it.
QUOTATIONS = [
    ("insufficient balance", "invalid value: insufficient balance"),
    ("Insufficient,\n  BALANCE!", "invalid value 'insufficient balance'"),
    ("insufficient\nbalance", "invalid value 'insufficient\\nbalance'"),
    ("insufficient\u2028balance", "invalid value 'insufficient\\u2028balance'"),
    ("an \u0069nsufficient balance", "invalid value: an insufficient balance"),
    ("rebilling", "invalid value: rebilling"),
    ("billing", "invalid value billing is refused"),
    ("x does not exist", "model error: `x does not exist` is no value"),
    ("does not exist", "model alpha-tiny: 'does not exist' is no value"),
    ("your account has been suspended", "invalid value: your account has been suspended"),
    ("has been suspended", "your account sent 'has been suspended'"),
    ("no such model", "invalid value (no such model)"),
    ("My balance is insufficient", "invalid value: my balance is insufficient"),
    ("We do not have any credits", "invalid value 'We do not have any credits'"),
    ("balance insufficient, not enough balance", "invalid value: not enough balance"),
    ("我的余额不足", "invalid value: 我的余额不足"),
    ("HTTP request to an HTTPS server", "invalid value: http request to an https server"),
]
FLAGGED = [
    (403, 'Your input was flagged for "violence". No credits were charged.', None),
    (403, 'This request was flagged for "sexual/minors". You were not billed; see billing.', "moderation"),
    (400, "Content moderation failed: billing was not applied", "moderation_blocked"),
    (400, "Flagged. Your balance is unchanged, insufficient balance or not.", "moderation_blocked"),
    (403, "The request contains hateful text", "moderation_failed"),
    (403, "Jailbreak attempt detected", "jailbreak_detected"),
    (403, "toxicity threshold exceeded", "unsafe_prompt"),
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
    (
        403,
        "Your resource has been temporarily blocked because we detected behavior that may violate our content policy.",
    ),
    (403, "Key blocked by policy: too many flagged requests in 24h"),
    (403, "API key's project is not allowed to sample from this endpoint due to safety policy"),
    (403, "This API key has been disabled because prompts sent with it were flagged"),
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


@pytest.mark.parametrize(
    "message",
    ["The model `alpha-tiny` does not exist", "Not Found", "404 page not found", "model alpha-tiny is deprecated"],
)
@pytest.mark.parametrize(
    "fields", [{"search_parameters": {"exist": 1}}, {"response_format": {"type": "text"}}, {"page_found": 1}]
)
def test_a_member_does_not_keep_a_model_that_is_gone(message, fields):
    assert kind_of(404, message, json.dumps({"model": "tiny", **fields}).encode()) == "model_unavailable"


@pytest.mark.parametrize(("status", "message", "code", "kind"), NOT_NAMED)
def test_what_it_does_not_name_is_the_accounts_or_the_models(*, status, message, code, kind):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert kind_of(status, message, sent, code) == kind


@pytest.mark.parametrize(("status", "message", "code", "kind"), NOT_THE_CALLERS)
def test_what_a_request_cannot_change_is_not_the_callers(*, status, message, code, kind):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Which model are you?"}]}).encode()
    assert kind_of(status, message, sent, code) == kind


@pytest.mark.parametrize(("status", "error"), OF_THE_TARGET)
def test_what_the_gateway_sends_to_every_target_is_no_fault_of_a_caller(status, error):
    reason = read_reason(json.dumps({"error": error}).encode())
    prompt = "Which headers has application/json, or text/event-stream? The Content-Type."
    sent = json.dumps({"model": "tiny", "stream": True, "messages": [{"role": "user", "content": prompt}]}).encode()
    assert kind_of_refusal(status, reason, sent, "alpha-tiny") == "model_unavailable"


@pytest.mark.parametrize(("status", "error", "fields"), OF_ONE_REQUEST)
def test_a_status_of_the_target_about_what_one_request_has_is_the_callers(status, error, fields):
    reason = read_reason(json.dumps({"error": error}).encode())
    assert kind_of_refusal(status, reason, json.dumps({"model": "tiny", **fields}).encode(), "x") == "upstream_4xx"


@pytest.mark.parametrize(("page", "message"), WRONG_ADDRESSES)
def test_a_page_about_the_scheme_or_host_is_about_the_base_url(page, message):
    reason = read_reason(page.encode())
    assert (kind_of_refusal(400, reason, b'{"model": "tiny"}', "x"), reason.message) == ("model_unavailable", message)


@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("error", OUR_BUDGET)
def test_a_spent_budget_is_the_gateways_quota(status, error):
    error = {**error, "code": str(status)}
    reason = read_reason(json.dumps({"error": error}).encode())
    assert kind_of_refusal(status, reason, b'{"model": "tiny", "user": "u1"}', "alpha-tiny") == "upstream_quota"


def test_the_words_of_a_spent_budget_count_without_a_type():
    assert kind_of(400, "Budget has been exceeded! Current cost: 1", b'{"model": "tiny"}') == "upstream_quota"
    assert kind_of(400, "The thinking budget has been exceeded", b'{"model": "tiny"}') == "upstream_4xx"


@pytest.mark.parametrize("status", [400, 429])
def test_a_spent_budget_of_the_end_user_that_a_request_names_is_its_own(status):
    error = {"message": "ExceededBudget: End User=u1 over budget. Spend=2, Budget=1", "type": "budget_exceeded"}
    reason = read_reason(json.dumps({"error": error}).encode())
    assert kind_of_refusal(status, reason, b'{"model": "tiny", "user": "u1"}') == "upstream_4xx"
    assert kind_of_refusal(status, reason, b'{"model": "tiny"}') == "upstream_quota"


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        (GROQ_SIZE, "rate_limit_exceeded", "size_refused"),
        ("Request body too large for alpha-tiny model. Max size: 8000 tokens.", "tokens_limit_reached", "size_refused"),
        ("Request too large", "request_too_large", "upstream_4xx"),
        ("Request too large", None, "upstream_4xx"),
    ],
)
def test_a_413_is_of_the_size_by_the_code_of_a_limit(message, code, kind):
    assert kind_of(413, message, b'{"model": "tiny"}', code) == kind


@pytest.mark.live
async def test_one_caller_opens_no_circuit_by_a_feature_that_is_not_implemented(make_upstream, make_gateway, wire):
    async def script(exchange):
        if "tools" in exchange.json:
            error = {"code": 501, "message": "This server does not support tools.", "type": "not_supported_error"}
            await exchange.reply({"error": error}, 501)
        else:
            await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(script), breaker=BREAKER)
    for _ in range(5):
        refused = await gateway.chat(tools=[{"type": "function", "function": {"name": "f"}}])
        assert (refused.status, refused.json["error"]["type"]) == (400, "not_supported_error")
        assert (await gateway.chat()).status == 200
    assert (await gateway.finished()).of(BreakerChanged) == []


WITHDRAWN = [
    # What replaces the model, or a page about something else, has words of members that many requests have.
    ("alpha-tiny is no longer served. Please use the alpha-small reasoning model.", None),
    ("alpha-tiny is retired. Use alpha-small with reasoning effort minimal instead.", None),
    ("This model has been sunset. For low-latency use, set temperature to 1.", None),
    ("This model family was withdrawn; its maximum tokens were 4096.", None),
    ("The thinking variant alpha-tiny was discontinued.", None),
    ("Could not route to /v4/accounts/x/ai/run/alpha-tiny, perhaps your object identifier is invalid?", None),
    ("It has been sunset, see the page about tools", "DeploymentNotFound"),
    ("It has been sunset, see the page about tools", "model_retired"),
    ("It was shut down in favour of a new reasoning engine", "model_decommissioned"),
    ("It was shut down in favour of a new reasoning engine", "unknown_model"),
]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize(("message", "code"), WITHDRAWN)
def test_a_withdrawn_model_is_the_targets_whatever_the_words_behind_it(status, message, code):
    names = ("tools", "reasoning_effort", "temperature", "max_tokens", "enable_thinking", "safety_identifier")
    sent = json.dumps({"model": "tiny", "messages": [], **dict.fromkeys(names, 1)}).encode()
    reason = read_reason(json.dumps({"error": {"message": message, "code": code}}).encode())
    assert kind_of_refusal(status, reason, sent, "alpha-tiny") == "model_unavailable"


@pytest.mark.parametrize(("error", "fields"), OF_A_MEMBER)
@pytest.mark.parametrize("filler", ["", "x" * 300_000])
def test_a_403_about_a_member_of_the_request_is_the_callers(error, fields, filler):
    reason = read_reason(json.dumps({"error": error}).encode())
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": filler}], **fields}).encode()
    assert kind_of_refusal(403, reason, sent, "alpha-tiny") == "upstream_4xx"
    without = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": json.dumps(fields)}]}).encode()
    assert kind_of_refusal(403, reason, without, "alpha-tiny") == "upstream_auth"
    assert kind_of_refusal(403, reason, None) == "upstream_auth"


def test_a_param_beside_the_message_counts_without_an_error_object():
    reason = read_reason(b'{"object": "error", "message": "Refused.", "param": "store"}')
    assert kind_of_refusal(403, reason, b'{"model": "tiny", "store": true}') == "upstream_4xx"


@pytest.mark.parametrize(("error", "kind"), OF_THE_KEY)
def test_a_refused_key_stays_one_whatever_the_request_has(error, kind):
    names = ("store", "user", "role", "key", "api_key", "organization", "permission", "user_location", "stream", "you")
    reason = read_reason(json.dumps({"error": error}).encode())
    tools = [{"cached_content": 1}]
    sent = json.dumps({"model": "tiny", "messages": [], "tools": tools, **dict.fromkeys(names, 1)}).encode()
    assert kind_of_refusal(403, reason, sent, "alpha-tiny") == kind


@pytest.mark.parametrize("body", [b"", b"[1]", b"no JSON", b'{"store":', b'{"store": "\\ud800', b'{"a":' * 5_000])
def test_members_of_what_is_no_request_are_read_as_far_as_it_goes(body):
    reason = read_reason(b'{"error": {"message": "no store here", "type": "invalid_request_error"}}')
    assert kind_of_refusal(403, reason, body) == ("upstream_4xx" if b'"store":' in body else "upstream_auth")


@pytest.mark.live
async def test_one_caller_opens_no_circuit_by_a_member_that_it_may_not_set(make_upstream, make_gateway, wire):
    async def script(exchange):
        if "store" in exchange.json:
            error = {"message": "Not for you.", "type": "invalid_request_error", "param": "store"}
            await exchange.reply({"error": error}, 403)
        else:
            await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(script), breaker=BREAKER)
    for _ in range(5):
        assert (await gateway.chat(store=True)).status == 403
        assert (await gateway.chat()).status == 200
    assert (await gateway.finished()).of(BreakerChanged) == []


@pytest.mark.parametrize("status", [400, 403, 412, 422])
@pytest.mark.parametrize("body", NO_CREDIT)
def test_that_the_gateways_credit_is_gone_leads_on(status, body):
    reason = read_reason(json.dumps(body).encode())
    sent = b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}'
    assert kind_of_refusal(status, reason, sent, "alpha-tiny") == "upstream_quota"


@pytest.mark.parametrize(("status", "body", "kind"), NOT_OF_CREDIT)
def test_words_that_are_like_those_of_credit_are_none(*, status, body, kind):
    reason = read_reason(json.dumps(body).encode())
    assert kind_of_refusal(status, reason, b'{"model": "tiny"}', "alpha-tiny") == kind


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ("Quota exceeded for quota metric 'Generate Content API requests per minute'", "RESOURCE_EXHAUSTED", "rate_limited"),
        ("Allocated quota exceeded, please increase your quota limit.", "Throttling.AllocationQuota", "rate_limited"),
        ("Quota exceeded, check your plan and billing details.", "QuotaExceeded", "rate_limited"),
        ("not enough balance", None, "rate_limited"),
        ("slow down", "NOT_ENOUGH_BALANCE", "upstream_quota"),
    ],
)  # fmt: skip
def test_of_a_429_only_a_code_of_credit_is_one(message, code, kind):
    assert kind_of(429, message, b'{"model": "tiny"}', code) == kind


@pytest.mark.parametrize("name", ["y-image", "x/tool", "download-file"])
def test_the_targets_own_name_is_no_thing_of_a_requests(name):
    reason = read_reason(json.dumps({"error": {"message": f"model {name} does not exist"}}).encode())
    assert kind_of_refusal(404, reason, b'{"model": "tiny"}', name) == "model_unavailable"


@pytest.mark.parametrize(("status", "message", "prompt", "kind"), EVERYDAY_WORDS)
@pytest.mark.parametrize("members", [{}, {"metadata": {"does not exist": "1", "insufficient balance": "1"}}])
def test_everyday_words_of_a_prompt_are_no_quotation(*, status, message, prompt, kind, members):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": prompt}], **members}).encode()
    assert kind_of(status, message, sent) == kind


@pytest.mark.parametrize(("content", "message"), QUOTATIONS)
@pytest.mark.parametrize("is_escaped", [False, True])
def test_what_the_caller_sent_in_a_row_is_a_quotation(*, content, message, is_escaped):
    sent = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": content}]}, ensure_ascii=is_escaped)
    if is_escaped:
        sent = sent.replace("o", "\\u006f").replace("m\\u006fdel", "model")
    assert kind_of(400, message, sent.encode()) == "upstream_4xx"


def test_a_word_of_the_providers_beside_a_quotation_counts():
    sent = b'{"model": "tiny", "messages": ["insufficient balance"]}'
    assert kind_of(400, "'insufficient balance' is refused. Payment required.", sent) == "upstream_quota"


@pytest.mark.parametrize("character", ["x", "\u4e2d"])
def test_of_a_body_too_large_to_be_searched_the_beginning_is(character):
    filler = character * 300_000
    for first, second, kind in (("", filler, "upstream_quota"), ("insufficient balance", filler, "upstream_4xx")):
        sent = json.dumps({"model": "tiny", "messages": [first, second]}).encode()
        assert kind_of(400, "insufficient balance", sent) == kind
    assert kind_of(400, "Model Not Exist", json.dumps({"messages": [filler]}).encode()) == "model_unavailable"


@pytest.mark.parametrize("body", [b"", b"[1]", b"no JSON \\", b'{"provider": ', b'{"a": "\\ud800"}', b'{"a": "b\\'])
def test_a_body_that_is_no_request_is_searched_as_it_is(body):
    assert kind_of(400, "Model Not Exist", body) == "model_unavailable"
    assert kind_of(404, "No such upload: file-abc", body + b" file-abc") == "upstream_4xx"
    is_own = b"provider" in body
    assert kind_of(404, "All providers have been ignored.", body) == ("upstream_4xx" if is_own else "model_unavailable")


def test_a_nested_member_is_no_routing_of_the_requests():
    sent = b'{"model": "tiny", "tools": [{"provider": "x", "required": ["provider"]}]}'
    assert kind_of(404, "All providers have been ignored.", sent) == "model_unavailable"


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
        ({"code": "AllocationQuota.FreeTierOnly", "message": "busy"}, "upstream_quota"),
        ({"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "busy"}, "upstream_quota"),
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
