// An event stream (text/event-stream), event by event.
import type { Event, EventTranslator } from "./events.ts";

export function translateStream(body: ReadableStream<Uint8Array>, translator: EventTranslator): ReadableStream<Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
        rest = blocks.pop() ?? "";
        const text = blocks.map((block) => translateBlock(block, translator)).join("");
        if (text) controller.enqueue(encoder.encode(text));
      },
    }),
  );
}

function translateBlock(block: string, translator: EventTranslator): string {
  const data = block.split("\n").filter((line) => line.startsWith("data:"));
  if (data.length === 0) return `${block}\n\n`;
  const event = JSON.parse(data.map((line) => line.slice("data:".length)).join("\n")) as Event;
  return translator
    .translate(event)
    .map((translated) => `data: ${JSON.stringify(translated)}\n\n`)
    .join("");
}
