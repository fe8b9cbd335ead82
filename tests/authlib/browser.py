"""A person with a browser without script: follows redirects, and fills in the forms that it is given."""

import html.parser
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlencode, urljoin

import requests

MOST_STEPS = 20


class Page(html.parser.HTMLParser):
    """The forms and links of a page, and its text."""

    def __init__(self, response):
        super().__init__()
        self.url = response.url
        self.keeps_its_address = response.headers.get("Referrer-Policy") == "no-referrer"
        self.text = ""
        self.forms = []
        self.links = []
        self._form = None
        self._label = None
        self.feed(response.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            action = urljoin(self.url, attributes.get("action") or "")
            self._form = {"action": action, "method": (attributes.get("method") or "get").upper(), "inputs": [], "buttons": []}
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None and attributes.get("name"):
            self._form["inputs"].append({"type": "text", "value": "", **attributes})
        elif tag == "button" and self._form is not None:
            self._label = {**attributes, "label": ""}
            self._form["buttons"].append(self._label)
        elif tag == "a" and attributes.get("href"):
            self._label = {"href": urljoin(self.url, attributes["href"]), "label": ""}
            self.links.append(self._label)

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag in ("a", "button"):
            self._label = None

    def handle_data(self, data):
        self.text += data
        if self._label is not None:
            self._label["label"] += data


class Browser:
    """One person's browser, with the cookies that it gets."""

    def __init__(self):
        self._session = requests.Session()
        self._session.headers["Accept-Language"] = "en"
        # As browsers do, for loopback is as good as TLS: what is on it stays on this machine.
        self._session.cookies.set_policy(DefaultCookiePolicy(secure_protocols=("https", "http")))

    def log_in(self, url, person, callback):
        """From an app's link to the answer: the callback's URL with its query or fragment, or with what a form brought as one."""
        request = requests.Request("GET", url)
        for _ in range(MOST_STEPS):
            reached = self._open(request, callback)
            if isinstance(reached, str):
                return reached
            for form in reached.forms:
                if form["action"].startswith(callback):
                    return f"{form['action']}#{urlencode({field['name']: field['value'] for field in form['inputs']})}"
            request = self._next(reached, person)
        raise AssertionError(f"never arrived at {callback}")

    def let_in(self, url, person):
        """From a device's link to the answer that the device may go on."""
        page = self._open(requests.Request("GET", url))
        request = self._submit(page, page.forms[0], {})
        for _ in range(MOST_STEPS):
            page = self._open(request)
            asked = any(button.get("name") == "decision" for form in page.forms for button in form["buttons"])
            request = self._next(page, person)
            if asked:
                return self._open(request)
        raise AssertionError("nobody was asked about the device")

    def _open(self, request, callback=None):
        """The page at the end of the redirects, or the address of the app that they lead to."""
        for _ in range(MOST_STEPS):
            response = self._session.send(self._session.prepare_request(request), allow_redirects=False, timeout=30)
            if not response.is_redirect:
                return Page(response)
            location = urljoin(response.url, response.headers["Location"])
            if callback and location.startswith(callback):
                return location
            # A redirect is followed in the name of the page that it began at.
            referrer = {name: value for name, value in request.headers.items() if name == "Referer"}
            request = requests.Request("GET", location, headers=referrer)
        raise AssertionError(f"too many redirects, the last to {request.url}")

    def _next(self, page, person):
        for link in page.links:
            if person["label"] in link["label"]:
                return requests.Request("GET", link["href"])
        for form in page.forms:
            for button in form["buttons"]:
                if person["label"] in button["label"] or button.get("value") == "allow":
                    return self._submit(page, form, {}, button)
        for form in page.forms:
            secrets = [field["name"] for field in form["inputs"] if field["type"] == "password"]
            names = [field["name"] for field in form["inputs"] if field["type"] in ("text", "email")]
            if secrets and names:
                return self._submit(page, form, {names[0]: person["username"], secrets[0]: person["password"]})
        raise AssertionError(f"no way on from {page.url}: {' '.join(page.text.split())}")

    def _submit(self, page, form, typed, button=None):
        fields = {field["name"]: typed.get(field["name"], field["value"]) for field in form["inputs"]}
        if button is not None and button.get("name"):
            fields[button["name"]] = button.get("value", "")
        if form["method"] == "GET":
            return requests.Request("GET", form["action"], params=fields)
        if page.keeps_its_address:
            return requests.Request("POST", form["action"], data=fields, headers={"Origin": "null"})
        origin = "/".join(page.url.split("/")[:3])
        return requests.Request("POST", form["action"], data=fields, headers={"Origin": origin, "Referer": f"{origin}/"})
