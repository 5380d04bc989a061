"""LiteLLM's `general_settings.custom_auth`: the gate's judgement again, as the identity that LiteLLM works with."""

import os

from fastapi import HTTPException, Request
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

from access import KEYLESS_ROUTES, Caller, identify


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    """Map the caller to an identity; `api_key` is what LiteLLM found in any of its headers, and is not looked at.

    Raises:
        HTTPException: 401 for a request that the gate should have refused.
    """
    caller = identify(request.scope, os.environ["LITELLM_MASTER_KEY"])
    if caller is Caller.ADMIN:
        return UserAPIKeyAuth(user_id="admin", user_role=LitellmUserRoles.PROXY_ADMIN)
    if caller is Caller.KEYLESS:
        routes = sorted(path for _, path in KEYLESS_ROUTES)
        return UserAPIKeyAuth(user_id="keyless", user_role=LitellmUserRoles.INTERNAL_USER, allowed_routes=routes)
    raise HTTPException(status_code=401, detail="Not admitted")
