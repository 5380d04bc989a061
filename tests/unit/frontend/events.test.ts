// The streams in recorded/ are what OpenCode 1.18.33 sent while a person used the page.
import { describe, expect, test } from "bun:test";
import { type Event, EventTranslator } from "../../../roles/frontend/files/image/events.ts";
import { translateStream } from "../../../roles/frontend/files/image/stream.ts";

const recorded = (name: string) => Bun.file(`${import.meta.dir}/recorded/${name}.txt`);
const parse = (text: string): Event[] =>
  text
    .split("\n\n")
    .filter((block) => block.startsWith("data:"))
    .map((block) => JSON.parse(block.slice(5)));
const of = (events: Event[], type: string) => events.filter((event) => event.type === type);

async function translated(name: string): Promise<Event[]> {
  return parse(await new Response(translateStream(recorded(name).stream(), new EventTranslator())).text());
}

describe("an answer", () => {
  test("grows by whole parts, each longer than the one before", async () => {
    const events = await translated("text");
    expect(of(events, "message.part.delta")).toBeEmpty();
    const texts = of(events, "message.part.updated")
      .map((event) => event.properties.part)
      .filter((part) => part.type === "text" && part.messageID !== of(events, "message.updated")[0].properties.info.id)
      .map((part) => part.text as string);
    expect(texts.length).toBeGreaterThan(60);
    for (const [before, after] of texts.slice(1).map((text, i) => [texts[i], text])) expect(after.startsWith(before.trimEnd())).toBeTrue();
    expect(texts.at(-1)).toContain("choose one of its models.");
  });

  test("is the same however the stream is cut into pieces", async () => {
    const bytes = await recorded("allowed").bytes();
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7));
        controller.close();
      },
    });
    const whole = await translated("allowed");
    const cut = parse(await new Response(translateStream(pieces, new EventTranslator())).text());
    const timeless = (events: Event[]) => events.map(({ properties: { time: _, ...properties }, ...event }) => ({ ...event, properties }));
    expect(timeless(cut)).toEqual(timeless(whole));
  });

  test("whose beginning was not seen is not shown by its end", () => {
    const delta = { type: "message.part.delta", properties: { partID: "p", messageID: "m", sessionID: "s", field: "text", delta: "end" } };
    expect(new EventTranslator().translate(delta)).toBeEmpty();
  });
});

describe("a permission", () => {
  test("that is asked for is one that oc-web can show, at the tool that waits for it", async () => {
    const events = await translated("allowed");
    expect(of(events, "permission.asked")).toBeEmpty();
    const [{ properties }] = of(events, "permission.updated");
    const tool = of(events, "message.part.updated").find(({ properties: { part } }) => part.type === "tool")?.properties.part;
    expect(properties).toMatchObject({
      type: "bash",
      message: "bash: echo $((40 + 2)) > answer.txt; cat answer.txt",
      messageID: tool.messageID,
      callID: tool.callID,
      partID: tool.id,
      sessionID: tool.sessionID,
    });
  });

  test.each([
    ["allowed", "once"],
    ["refused", "reject"],
  ])("that was %s is taken off the page", async (name, response) => {
    const events = await translated(name);
    const [asked] = of(events, "permission.updated");
    const [replied] = of(events, "permission.replied");
    expect(replied.properties).toMatchObject({ permissionID: asked.properties.id, sessionID: asked.properties.sessionID, response });
  });

  test("for an edit shows the difference as lines", async () => {
    const [{ properties }] = of(await translated("edit"), "permission.updated");
    expect(properties.details.split("\n")).toContain("+a line of text");
  });
});

describe("memory", () => {
  test("holds nothing of a session once it rests", async () => {
    const translator = new EventTranslator();
    const [first, ...rest] = parse(await recorded("edit").text()).map((event) => translator.translate(event));
    expect(first.concat(...rest).length).toBeGreaterThan(50);
    expect(translator.size).toBe(0);
  });

  test("holds nothing of a session that is deleted, or of a message or part that is removed", () => {
    const part = { id: "p", messageID: "m", sessionID: "s", type: "text", text: "" };
    for (const event of [
      { type: "session.deleted", properties: { sessionID: "s", info: { id: "s" } } },
      { type: "message.removed", properties: { sessionID: "s", messageID: "m" } },
      { type: "message.part.removed", properties: { sessionID: "s", messageID: "m", partID: "p" } },
      { type: "message.updated", properties: { sessionID: "s", info: { id: "m", time: { created: 1, completed: 2 } } } },
    ]) {
      const translator = new EventTranslator();
      translator.translate({ type: "message.part.updated", properties: { part } });
      expect(translator.size).toBe(1);
      expect(translator.translate(event)).toEqual([event]);
      expect(translator.size).toBe(0);
    }
  });
});

test("every other event passes unchanged", async () => {
  const changed = ["message.part.delta", "permission.asked", "permission.replied"];
  for (const name of ["text", "allowed", "refused", "edit"]) {
    const translator = new EventTranslator();
    for (const event of parse(await recorded(name).text()).filter(({ type }) => !changed.includes(type))) {
      expect(translator.translate(event)).toEqual([event]);
    }
  }
});

test("comments and events of several lines pass", async () => {
  const stream = new Response(': keep-alive\n\nevent: x\ndata: {"type":"a",\ndata: "properties":{}}\n\n').body as ReadableStream<Uint8Array>;
  expect(await new Response(translateStream(stream, new EventTranslator())).text()).toBe(': keep-alive\n\ndata: {"type":"a","properties":{}}\n\n');
});
