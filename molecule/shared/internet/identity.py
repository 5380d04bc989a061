"""Says who people are by OpenID Connect: Canaille, with one person and one application, in memory."""

import os

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.middleware.proxy_fix import ProxyFix

app = create_app(
    {
        "SECRET_KEY": os.urandom(32).hex(),
        "SERVER_NAME": "identity.example.lan",
        "PREFERRED_URL_SCHEME": "https",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048).as_dict(private=True)]},
    },
    env_file=os.devnull,
)

# TLS ends before it.
app.wsgi_app = ProxyFix(app.wsgi_app)

with app.app_context():
    person = models.User(
        user_name="ann", formatted_name="Ann", family_name="Ann", emails=["ann@example.lan"], password=os.environ["OCWEB_PASSWORD"]
    )
    application = models.Client(
        client_id="ocweb",
        client_secret=os.environ["OCWEB_CLIENT_SECRET"],
        client_name="a workbench",
        redirect_uris=["https://door.example.lan/oidc"],
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "profile"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(person)
    Backend.instance.save(application)
    application.audience = [application]
    Backend.instance.save(application)
