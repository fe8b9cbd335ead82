"""Authlib at every grant, with every way to authenticate, and every response type in its modes (docs/relying-parties.md)."""

import time
import unittest
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc9101, rfc9207
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response, parse_implicit_response
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from authlib.oauth2.rfc7591 import ClientMetadataClaims
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from authlib.oidc.core.claims import get_claim_cls_by_response_type
from authlib.oidc.discovery import OpenIDProviderMetadata
from authlib.oidc.discovery import get_well_known_url as openid_url
from authlib.oidc.rpinitiated import OpenIDProviderMetadata as LogoutMetadata
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, import_key

from browser import Browser
from stand import Stand, fetch

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SCOPE = "openid profile email offline_access"

stand = Stand("methods")
setUpModule = stand.start
tearDownModule = stand.stop


class Assertion:
    """Authlib's assertion, made anew for each request and good for a minute: its own are good for an hour, and keep their ``jti``."""

    def __init__(self, kind, audience, **more):
        self.name = kind.name
        self._make = lambda: kind(audience, claims={"exp": int(time.time()) + 60}, **more)

    def __call__(self, *arguments):
        return self._make()(*arguments)


class EveryMethodTest(unittest.TestCase):
    """What each test needs of the running Portico."""

    @classmethod
    def setUpClass(cls):
        cls.issuer = stand.facts["issuer"]
        cls.metadata = OpenIDProviderMetadata(fetch(openid_url(cls.issuer, external=True)))
        cls.keys = KeySet.import_key_set(fetch(cls.metadata["jwks_uri"]))
        # Whoever is logged in there is logged in everywhere.
        cls.browser = Browser()

    def methods(self, public=True):
        clients = stand.facts["clients"].items()
        return [(name, each) for name, each in clients if name not in ("front", "old") and (public or name != "none")]

    def session(self, registration, scope=None):
        method, key = registration["token_endpoint_auth_method"], registration.get("key")
        session = OAuth2Session(
            registration["client_id"],
            import_key(key) if key else registration.get("client_secret"),
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            scope=scope,
            redirect_uri=stand.facts["callback"],
            code_challenge_method="S256",
        )
        if method == "client_secret_jwt":
            session.client_secret = OctKey.import_key(session.client_secret)
            session.register_client_auth_method(Assertion(ClientSecretJWT, self.issuer))
        elif key:
            algorithm = registration["id_token_signed_response_alg"]
            session.register_client_auth_method(Assertion(PrivateKeyJWT, self.issuer, headers={"kid": "1"}, alg=algorithm))
        return session

    def post(self, session, endpoint, fields):
        """A POST that Authlib's client authentication goes with."""
        auth = session.client_auth(session.token_endpoint_auth_method)
        response = session.post(self.metadata[endpoint], data=fields, auth=auth, timeout=30)
        response.raise_for_status()
        return response.json()

    def decode(self, token):
        algorithms = self.metadata["id_token_signing_alg_values_supported"]
        return jwt.decode(token, self.keys, algorithms=algorithms)

    def id_token(self, id_token, client_id, response_type="code", **params):
        decoded = self.decode(id_token)
        options = {"iss": {"essential": True, "values": [self.issuer]}, "aud": {"essential": True, "values": [client_id]}}
        kind = get_claim_cls_by_response_type(response_type)
        claims = kind(decoded.claims, decoded.header, options, {"client_id": client_id, **params})
        claims.validate()
        return claims

    def code(self, session, **more):
        """Where the browser is sent, and what redeems the code that it comes back with."""
        verifier, nonce = generate_token(48), generate_token()
        url, state = session.create_authorization_url(
            self.metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier, **more
        )
        return url, {"state": state, "code_verifier": verifier}, nonce

    def reach(self, url):
        return self.browser.log_in(url, stand.facts["people"]["jo"], stand.facts["callback"])

    def redeem(self, session, url, sent):
        return session.fetch_token(self.metadata["token_endpoint"], authorization_response=self.reach(url), **sent)

    def subject_token(self):
        """The token of a person that an API was called with."""
        session = self.session(stand.facts["clients"]["front"], "openid reports:read")
        url, sent, _ = self.code(session)
        return self.redeem(session, url, sent)["access_token"]


class Grants(EveryMethodTest):
    def test_every_method_redeems_renews_looks_and_gives_back(self):
        for name, registration in self.methods():
            with self.subTest(name):
                session = self.session(registration, SCOPE)
                url, sent, nonce = self.code(session)
                token = self.redeem(session, url, sent)
                claims = self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)
                renewed = session.refresh_token(self.metadata["token_endpoint"], refresh_token=token["refresh_token"])
                again = self.id_token(renewed["id_token"], session.client_id, access_token=renewed["access_token"])
                self.assertEqual(again["sub"], claims["sub"])
                look = lambda: session.introspect_token(self.metadata["introspection_endpoint"], token=renewed["access_token"])
                if registration["token_endpoint_auth_method"] == "none":
                    self.assertEqual(look().status_code, 401)
                else:
                    self.assertTrue(look().json()["active"])
                answer = session.revoke_token(self.metadata["revocation_endpoint"], token=renewed["refresh_token"])
                self.assertEqual(answer.status_code, 200)
                with self.assertRaises(OAuthError) as refused:
                    session.refresh_token(self.metadata["token_endpoint"], refresh_token=renewed["refresh_token"])
                self.assertEqual(refused.exception.error, "invalid_grant")

    def test_every_method_acts_for_itself(self):
        for name, registration in self.methods(public=False):
            with self.subTest(name):
                session = self.session(registration, "reports:read")
                token = session.fetch_token(self.metadata["token_endpoint"], grant_type="client_credentials")
                self.assertEqual(token["scope"], "reports:read")
                self.assertNotIn("refresh_token", token)

    def test_every_method_is_a_device(self):
        for name, registration in self.methods():
            with self.subTest(name):
                session = self.session(registration)
                started = self.post(session, "device_authorization_endpoint", {"scope": SCOPE})
                ask = lambda: session.fetch_token(
                    self.metadata["token_endpoint"], grant_type=DEVICE_CODE, device_code=started["device_code"]
                )
                with self.assertRaises(OAuthError) as pending:
                    ask()
                self.assertEqual(pending.exception.error, "authorization_pending")
                self.browser.let_in(started["verification_uri_complete"], stand.facts["people"]["jo"])
                token = ask()
                self.id_token(token["id_token"], session.client_id, access_token=token["access_token"])
                self.assertIn("refresh_token", token)

    def test_every_method_logs_a_person_in_by_password(self):
        jo = stand.facts["people"]["jo"]
        for name, registration in self.methods(public=False):
            with self.subTest(name):
                session = self.session(registration, "openid offline_access")
                ask = lambda password: session.fetch_token(
                    self.metadata["token_endpoint"], grant_type="password", username=jo["username"], password=password
                )
                token = ask(jo["password"])
                claims = self.id_token(token["id_token"], session.client_id, access_token=token["access_token"])
                renewed = session.refresh_token(self.metadata["token_endpoint"], refresh_token=token["refresh_token"])
                self.assertEqual(self.id_token(renewed["id_token"], session.client_id)["sub"], claims["sub"])
                with self.assertRaises(OAuthError) as refused:
                    ask("not " + jo["password"])
                self.assertEqual(refused.exception.error, "invalid_grant")

    def test_every_method_exchanges_the_token_of_somebody_who_called(self):
        for name, registration in self.methods(public=False):
            with self.subTest(name):
                session = self.session(registration)
                token = session.fetch_token(
                    self.metadata["token_endpoint"],
                    grant_type=TOKEN_EXCHANGE,
                    subject_token=self.subject_token(),
                    subject_token_type=ACCESS_TOKEN,
                    audience=stand.facts["next_api"],
                )
                self.assertEqual(token["issued_token_type"], ACCESS_TOKEN)
                self.assertEqual(self.decode(token["access_token"]).claims["aud"], stand.facts["next_api"])

    def test_every_method_pushes_its_request(self):
        for name, registration in self.methods():
            with self.subTest(name):
                session = self.session(registration, SCOPE)
                url, sent, nonce = self.code(session)
                request = dict(parse_qsl(urlsplit(url).query))
                # Who asks, the client authentication says; and once.
                del request["client_id"]
                pushed = self.post(session, "pushed_authorization_request_endpoint", request)
                short = urlencode({"client_id": session.client_id, "request_uri": pushed["request_uri"]})
                token = self.redeem(session, f"{self.metadata['authorization_endpoint']}?{short}", sent)
                self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)

    def test_a_wrong_key_or_secret_gets_nothing_by_any_method(self):
        for name, registration in self.methods(public=False):
            with self.subTest(name):
                wrong = dict(registration)
                if "key" in registration:
                    right = import_key(registration["key"])
                    strength = 2048 if right.key_type == "RSA" else registration["key"]["crv"]
                    wrong["key"] = type(right).generate_key(strength, private=True).as_dict(private=True)
                else:
                    wrong["client_secret"] += "x"
                session = self.session(wrong, "reports:read")
                with self.assertRaises(OAuthError) as refused:
                    session.fetch_token(self.metadata["token_endpoint"], grant_type="client_credentials")
                self.assertEqual(refused.exception.error, "invalid_client")


class Signatures(EveryMethodTest):
    def signing(self):
        return [(name, each) for name, each in self.methods() if "key" in each]

    def test_id_tokens_and_userinfo_are_signed_with_each_algorithm(self):
        for name, registration in self.signing():
            with self.subTest(name):
                session = self.session(registration, SCOPE)
                url, sent, nonce = self.code(session)
                token = self.redeem(session, url, sent)
                claims = self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)
                self.assertEqual(claims.header["alg"], registration["id_token_signed_response_alg"])
                userinfo = session.get(self.metadata["userinfo_endpoint"], timeout=30)
                self.assertEqual(userinfo.headers["Content-Type"], "application/jwt")
                told = self.decode(userinfo.text)
                self.assertEqual(told.header["alg"], registration["userinfo_signed_response_alg"])
                self.assertEqual((told.claims["sub"], told.claims["aud"]), (claims["sub"], session.client_id))

    def test_requests_are_signed_with_each_algorithm(self):
        for name, registration in self.signing():
            with self.subTest(name):
                session = self.session(registration, SCOPE)
                url, sent, nonce = self.code(session)
                claims = {**dict(parse_qsl(urlsplit(url).query)), "iss": session.client_id, "aud": self.issuer, "exp": int(time.time()) + 60}
                algorithm = registration["id_token_signed_response_alg"]
                header = {"alg": algorithm, "kid": "1", "typ": "oauth-authz-req+jwt"}
                request = jwt.encode(header, claims, import_key(registration["key"]), algorithms=[algorithm])
                short = urlencode({"client_id": session.client_id, "request": request})
                token = self.redeem(session, f"{self.metadata['authorization_endpoint']}?{short}", sent)
                self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)

    def test_introspection_is_signed_for_who_asks(self):
        session = self.session(stand.facts["clients"]["client_secret_basic"], "reports:read")
        token = session.fetch_token(self.metadata["token_endpoint"], grant_type="client_credentials")
        accept = {"Accept": "application/token-introspection+jwt"}
        answer = session.introspect_token(self.metadata["introspection_endpoint"], token=token["access_token"], headers=accept)
        told = self.decode(answer.text)
        self.assertEqual(told.header["typ"], "token-introspection+jwt")
        self.assertEqual((told.claims["iss"], told.claims["aud"]), (self.issuer, session.client_id))
        self.assertTrue(told.claims["token_introspection"]["active"])

    def test_an_api_verifies_access_tokens_by_itself(self):
        keys = self.keys

        class Api(JWTBearerTokenValidator):
            def get_jwks(self):
                return keys

        api = Api(self.issuer, stand.facts["api"])
        token = api.authenticate_token(self.subject_token())
        api.validate_token(token, ["reports:read"], None)
        self.assertEqual(token["client_id"], stand.facts["clients"]["front"]["client_id"])
        with self.assertRaises(InsufficientScopeError):
            api.validate_token(token, ["reports:write"], None)
        other = Api(self.issuer, "https://other.example.org/")
        with self.assertRaises(InvalidTokenError):
            other.validate_token(other.authenticate_token(self.subject_token()), [], None)


class ResponseTypes(EveryMethodTest):
    def answer(self, response_type, mode):
        """What the app gets, checked as far as every type has it, and the nonce."""
        session = self.session(stand.facts["clients"]["old"], "openid reports:read")
        verifier, nonce = generate_token(48), generate_token()
        with_code = response_type.startswith("code")
        challenge = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"} if with_code else {}
        url, state = session.create_authorization_url(
            self.metadata["authorization_endpoint"], response_type=response_type, response_mode=mode, nonce=nonce, **challenge
        )
        reached = self.reach(url)
        brought = dict(parse_qsl(urlsplit(reached).query or urlsplit(reached).fragment))
        self.assertEqual((brought["state"], brought["iss"]), (state, self.issuer))
        self.assertEqual("?" in reached, mode == "query")
        if "token" in response_type.split():
            self.assertEqual(parse_implicit_response(reached, state)["token_type"], "Bearer")
        elif with_code:
            by_query = reached.replace("#", "?")
            self.assertEqual(parse_authorization_code_response(by_query, state)["code"], brought["code"])
        if "id_token" in response_type.split():
            params = {"nonce": nonce, "access_token": brought.get("access_token"), "code": brought.get("code")}
            claims = self.id_token(brought["id_token"], session.client_id, response_type, **params)
            self.assertTrue(claims["sub"])
        if with_code:
            token = session.fetch_token(self.metadata["token_endpoint"], grant_type="authorization_code", code=brought["code"], code_verifier=verifier)
            self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)
        if "access_token" in brought:
            session.token = {"access_token": brought["access_token"], "token_type": "Bearer"}
            self.assertEqual(session.get(self.metadata["userinfo_endpoint"], timeout=30).status_code, 200)
        return brought

    def test_every_type_is_read_in_each_mode_that_may_carry_it(self):
        named = {"code": {"code"}, "id_token": {"id_token"}, "token": {"access_token", "token_type", "expires_in", "scope"}, "none": set()}
        for response_type in self.metadata["response_types_supported"]:
            words = response_type.split()
            modes = ["fragment", "form_post"] if {"token", "id_token"} & set(words) else ["query", "fragment", "form_post"]
            for mode in modes:
                with self.subTest(response_type, mode=mode):
                    brought = self.answer(response_type, mode)
                    self.assertEqual(set(brought), set().union({"state", "iss"}, *(named[word] for word in words)))


class Metadata(EveryMethodTest):
    def test_every_class_that_authlib_has_finds_the_metadata_valid(self):
        oauth = AuthorizationServerMetadata(self.metadata)
        oauth.validate(metadata_classes=[rfc9101.AuthorizationServerMetadata, rfc9207.AuthorizationServerMetadata])
        self.metadata.validate(metadata_classes=[LogoutMetadata])


class Registration(EveryMethodTest):
    def register(self, **metadata):
        response = requests.post(self.metadata["registration_endpoint"], json={"redirect_uris": [stand.facts["callback"]], **metadata}, timeout=30)
        self.assertEqual(response.status_code, 201, response.text)
        registered = response.json()
        ClientMetadataClaims(registered, {}, ClientMetadataClaims.get_claims_options(self.metadata)).validate()
        return registered

    def test_every_method_registers_itself_and_logs_somebody_in(self):
        for name, registration in self.methods():
            with self.subTest(name):
                method, key = registration["token_endpoint_auth_method"], registration.get("key")
                more = {"jwks": registration["jwks"], "id_token_signed_response_alg": registration["id_token_signed_response_alg"]} if key else {}
                registered = self.register(token_endpoint_auth_method=method, client_name="Registered by Authlib", **more)
                session = self.session({**registered, "key": key} if key else registered, "openid")
                url, sent, nonce = self.code(session)
                token = self.redeem(session, url, sent)
                self.id_token(token["id_token"], session.client_id, access_token=token["access_token"], nonce=nonce)

    def test_a_client_reads_changes_and_deletes_its_registration(self):
        registered = self.register(client_name="Before")
        uri = registered["registration_client_uri"]
        token = {"access_token": registered["registration_access_token"], "token_type": "bearer"}
        session = OAuth2Session(registered["client_id"], token=token)
        read = session.get(uri, timeout=30).json()
        self.assertEqual(read["client_name"], "Before")
        ours = ("registration_access_token", "registration_client_uri", "client_id_issued_at", "client_secret_expires_at")
        kept = {name: value for name, value in read.items() if name not in ours}
        changed = session.put(uri, json={**kept, "client_name": "After"}, timeout=30)
        self.assertEqual(changed.json()["client_name"], "After")
        self.assertEqual(session.delete(uri, timeout=30).status_code, 204)
        self.assertEqual(session.get(uri, timeout=30).status_code, 401)


if __name__ == "__main__":
    unittest.main()
