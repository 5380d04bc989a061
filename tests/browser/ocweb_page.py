"""What a person does on oc-web's page, and what they see there."""

from playwright.sync_api import Locator, Page, expect

MESSAGES = "[data-dialog-anchor=chat] .justify-start"
# Has the page itself keep the lengths that the last of these elements grows to, for as long as it does not say these words.
WATCH = """([elements, words]) => {
  window.lengths = [];
  new MutationObserver(() => {
    const text = [...document.querySelectorAll(elements)].at(-1)?.innerText ?? "";
    if (!text.includes(words) && text.length > Math.max(0, ...window.lengths)) window.lengths.push(text.length);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


class OcWebPage:
    """oc-web 1.1.4 in a browser; Playwright raises TimeoutError when what is waited for does not come."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, url: str) -> None:
        """Load the page, and wait until it has asked the agent server for its agents: before that, it takes no clicks."""
        self.page.goto(url)
        self.page.get_by_role("button", name="Agent: build").wait_for()

    def choose_project(self, folder: str) -> None:
        """Choose a project by its folder."""
        self.page.locator("button[aria-haspopup=listbox]").first.click()
        self.page.get_by_role("option", name=folder).first.click()

    def new_session(self) -> None:
        """Open a new session in the project."""
        self.page.get_by_title("Create new session").first.click()
        self.page.get_by_role("button", name="Create Session").click()
        self.page.get_by_text("SSE Live").wait_for()

    def send(self, text: str) -> None:
        """Write a message and send it."""
        box = self.page.get_by_role("textbox", name="Type your message")
        box.fill(text)
        box.press("Enter")

    def watch(self, words: str) -> None:
        """Have the page keep the lengths that its last message grows to before it says these words; `lengths` returns them."""
        self.page.evaluate(WATCH, [MESSAGES, words])

    def lengths(self) -> list[int]:
        """Return what `watch` has had the page keep."""
        return list(self.page.evaluate("window.lengths"))

    def works(self) -> None:
        """See that an agent answers in a new session on the workspace."""
        self.choose_project("/workspace")
        self.new_session()
        self.send("hello")
        expect(self.messages.last).to_contain_text("one of its models.")

    @property
    def messages(self) -> Locator:
        """The agent's messages in the session."""
        return self.page.locator(MESSAGES)

    @property
    def questions(self) -> Locator:
        """The queue of permissions that the agent asks for; absent while there is none."""
        return self.page.get_by_role("region", name="Pending permission queue")

    def answer(self, button: str) -> None:
        """Answer the one permission that is asked for: "Allow Once", "Always Allow" or "Reject"."""
        self.questions.get_by_role("button", name=button).click()
        self.questions.wait_for(state="detached")

    def tool(self, title: str) -> Locator:
        """The card of a tool's run, by its title."""
        return self.page.locator(".status-card").filter(has_text=title)
