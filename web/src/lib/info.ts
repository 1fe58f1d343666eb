/** What the server says of itself to whoever asks. */
export interface Info {
  model?: string
  engine?: string
  delay?: number
  text?: boolean
  /** Whether the server asks for a token. */
  tokens?: boolean
  sessions?: number
  limit?: number
  /** The server answered. */
  there?: boolean
}

export async function ask(): Promise<Info> {
  try {
    const answer = await fetch(new URL('v1/info', document.baseURI))
    return { ...(answer.ok ? ((await answer.json()) as Info) : {}), there: true }
  } catch {
    return {}
  }
}

/** Where sessions are held. */
export function endpoint(): string {
  const url = new URL('v1/live', document.baseURI)
  url.protocol = url.protocol.replace('http', 'ws')
  return url.href
}
