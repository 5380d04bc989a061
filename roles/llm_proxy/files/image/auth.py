"""LiteLLM's `general_settings.custom_auth`: the gate's judgement, as the identity that LiteLLM works with."""

from fastapi import HTTPException, Request
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

from access import ADMITTED, KEYLESS_ROUTES, Caller, is_keyless_route


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    """Map the caller to an identity; `api_key` is what LiteLLM found in any of its headers, and is not looked at.

    Raises:
        HTTPException: 401 for a request that the gate should have refused, or that did not come through it.
    """
    caller = request.scope.get(ADMITTED)
    if caller is Caller.ADMIN:
        return UserAPIKeyAuth(user_id="admin", user_role=LitellmUserRoles.PROXY_ADMIN)
    if caller is Caller.KEYLESS and is_keyless_route(request.scope):
        routes = sorted(path for _, path in KEYLESS_ROUTES)
        return UserAPIKeyAuth(user_id="keyless", user_role=LitellmUserRoles.INTERNAL_USER, allowed_routes=routes)
    raise HTTPException(status_code=401, detail="Not admitted")
