/** What went wrong, in plain words, and what to do about it. */
import type { Info } from './info'

export interface Trouble {
  title: string
  todo: string
  /** What a button offers, where one helps. */
  action?: 'retry' | 'sound' | 'token' | undefined
  /** Worth knowing, but nothing is broken. */
  mild?: boolean
}

/** Whether a browser gives this page a microphone and worklets at all. */
export function unusable(): Trouble | null {
  const { hostname, port } = location
  if (!isSecureContext) {
    return {
      title: 'This address is not secure, so the browser gives no microphone.',
      todo:
        `Open the page on the machine that runs the server, as http://localhost${port && `:${port}`}; or from here through ` +
        `an SSH tunnel (ssh -L ${port || 8710}:localhost:${port || 80} ${hostname}) at http://localhost:${port || 8710}; ` +
        'or put HTTPS in front of the server.',
    }
  }
  if (typeof AudioWorkletNode === 'undefined' || !navigator.mediaDevices) {
    return {
      title: 'This browser lacks what live sound needs.',
      todo: 'Use a current Chrome, Edge, Firefox or Safari.',
    }
  }
  return null
}

export function microphone(failure: unknown): Trouble {
  const name = failure instanceof DOMException ? failure.name : ''
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return {
        title: 'The microphone is blocked for this page.',
        todo: 'Press the sign beside the address, allow the microphone, then try again. Without one, send a sound file below.',
        action: 'retry',
      }
    case 'NotFoundError':
      return {
        title: 'No microphone was found.',
        todo: 'Plug one in and try again, or send a sound file below.',
        action: 'retry',
      }
    case 'NotReadableError':
    case 'AbortError':
      return {
        title: 'The microphone cannot be used now.',
        todo: 'Another program may hold it. Close that one and try again, or choose another microphone.',
        action: 'retry',
      }
    case 'OverconstrainedError':
      return {
        title: 'The chosen microphone is not there.',
        todo: 'Choose another one under Sound, then try again.',
        action: 'retry',
      }
    default:
      return {
        title: 'The sound could not be started.',
        todo: `Try again, or reload the page. The browser says: ${failure instanceof Error ? failure.message : failure}`,
        action: 'retry',
      }
  }
}

/** As the server says it, made a sentence. */
const sentence = (said: string): string =>
  said && said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? '' : '.')

export const told = (said: string): Trouble => ({ title: sentence(said), todo: 'The session goes on.', mild: true })

/** Why the server closed the connection, by its code. */
const CLOSED: Record<string, string> = {
  4002: 'Nothing came from this page for too long, so the session ended.',
  4003: 'The longest time for one session is over.',
  4008: 'This page read too slowly, so the server ended the session.',
  4009: 'Another tab took this session over.',
}

/** The server refused or ended a session: its code, its own sentence, whether the session had begun, what it is like. */
export function refusal(code: string, message: string, begun: boolean, info: Info): Trouble {
  if (code === 'no_token') {
    return { title: 'This server asks for a token.', todo: 'Enter the one that its owner gave you.', action: 'token' }
  }
  if (code === 'bad_token') return { title: sentence(message), todo: 'Enter another one.', action: 'token' }
  if (code === 'unreachable' && info.there) {
    const { sessions = 0, limit = Infinity } = info
    return {
      title: sessions >= limit ? `All ${limit} sessions of this server are taken.` : 'The server refused the connection.',
      todo:
        sessions >= limit
          ? 'Try again when one has ended.'
          : 'You may have too many sessions open, or its operator has not allowed this address (--origin).',
      action: 'retry',
    }
  }
  if (code === 'unreachable') {
    return {
      title: begun ? 'The connection ended.' : 'The server cannot be reached.',
      todo: 'See that it runs and that this page was opened from it, then try again.',
      action: 'retry',
    }
  }
  if (code === 'gone') {
    return {
      title: 'The connection was lost for too long.',
      todo: 'The server no longer holds this session. Start a new one.',
      action: 'retry',
    }
  }
  const closed = CLOSED[code]
  if (closed) return { title: closed, todo: 'Start a new session when you like.', action: 'retry' }
  return {
    title: sentence(message) || `The server ended the session (${code}).`,
    todo: begun ? 'Start a new session when you like.' : 'Try again.',
    action: 'retry',
  }
}

export const SLEPT = (seconds: number): Trouble => ({
  title: `This tab slept for ${Math.round(seconds)} s.`,
  todo: 'The browser stopped the microphone meanwhile; what you said then was not sent. The session goes on.',
  mild: true,
})

export const STILL: Trouble = {
  title: 'The browser holds the sound back.',
  todo: 'It waits for a press on this page.',
  action: 'sound',
}

export const UNPLUGGED: Trouble = {
  title: 'The microphone went away.',
  todo: 'The session goes on with another one. Choose under Sound if it is the wrong one.',
  mild: true,
}

export const MOVED: Trouble = {
  title: 'The loudspeaker went away.',
  todo: "The sound goes to the system's choice now.",
  mild: true,
}

export const NONE_LEFT: Trouble = {
  title: 'The microphone went away, and there is no other.',
  todo: 'Plug one in and try again, or send a sound file below. The session goes on; silence is sent.',
  action: 'retry',
}

export const REPLACED: Trouble = {
  title: 'The session before could not be continued.',
  todo: 'This is a new one; the model has forgotten what was said.',
  mild: true,
}

export const OFFLINE: Trouble = {
  title: 'This machine is offline.',
  todo: 'The session goes on when the network is back, if that is soon.',
  mild: true,
}

export const notSound = (name: string): Trouble => ({
  title: `${name} could not be read as sound.`,
  todo: 'Choose a WAV, FLAC, MP3, Ogg or M4A file.',
})
