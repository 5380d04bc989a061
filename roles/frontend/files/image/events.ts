// oc-web 1.1.4 knows the events of OpenCode 1.1; OpenCode 1.18 tells the same things in other words.

export interface Event {
  id?: string;
  type: string;
  properties: Record<string, any>;
}

interface Part {
  id: string;
  messageID: string;
  sessionID: string;
  callID?: string;
  [field: string]: unknown;
}

export class EventTranslator {
  // The parts of messages that are still being written.
  readonly #parts = new Map<string, Part>();

  get size(): number {
    return this.#parts.size;
  }

  // The events that oc-web is to get in place of one of OpenCode's: none, one, or several.
  translate(event: Event): Event[] {
    const { properties } = event;
    switch (event.type) {
      case "message.part.updated":
        this.#parts.set(properties.part.id, properties.part);
        return [event];
      case "message.part.delta":
        return this.#grow(event);
      case "message.part.removed":
        this.#parts.delete(properties.partID);
        return [event];
      case "message.updated":
        if (properties.info.time?.completed) this.#forget("messageID", properties.info.id);
        return [event];
      case "message.removed":
        this.#forget("messageID", properties.messageID);
        return [event];
      case "session.idle":
        this.#forget("sessionID", properties.sessionID);
        return [event];
      case "session.deleted":
        this.#forget("sessionID", properties.info.id);
        return [event];
      case "permission.asked":
        return [{ ...event, type: "permission.updated", properties: this.#permission(properties) }];
      case "permission.replied":
        return [{ ...event, properties: { ...properties, permissionID: properties.requestID, response: properties.reply } }];
      default:
        return [event];
    }
  }

  // What was added to a part becomes the whole part. Of a part whose beginning was not seen, the end says nothing.
  #grow(event: Event): Event[] {
    const { partID, field, delta } = event.properties;
    const known = this.#parts.get(partID);
    if (!known) return [];
    const part = { ...known, [field]: `${known[field] ?? ""}${delta}` };
    this.#parts.set(partID, part);
    return [{ ...event, type: "message.part.updated", properties: { sessionID: part.sessionID, part } }];
  }

  #permission(asked: Event["properties"]): Event["properties"] {
    const waiting = [...this.#parts.values()].find((part) => part.callID !== undefined && part.callID === asked.tool?.callID);
    return {
      id: asked.id,
      sessionID: asked.sessionID,
      type: asked.permission,
      title: asked.permission,
      message: `${asked.permission}: ${asked.metadata.command ?? asked.patterns.join(", ")}`,
      details: asked.metadata.diff ?? asked.metadata,
      metadata: asked.metadata,
      pattern: asked.patterns,
      tool: asked.permission,
      messageID: asked.tool?.messageID,
      callID: asked.tool?.callID,
      partID: waiting?.id,
      time: { created: Date.now() },
    };
  }

  #forget(field: "messageID" | "sessionID", value: string): void {
    for (const part of this.#parts.values()) if (part[field] === value) this.#parts.delete(part.id);
  }
}
