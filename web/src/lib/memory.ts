/** What a page loaded anew in this tab needs to go on in its session. */
import type { Held } from './link'

const KEY = 'oration'

export const remember = (held: Held): void => sessionStorage.setItem(KEY, JSON.stringify(held))

export const forget = (): void => sessionStorage.removeItem(KEY)

export function remembered(): Held | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Held | null
  } catch {
    return null
  }
}

/** A token from the address, which then no longer shows it; what follows # is never sent to a server. */
export function givenToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) history.replaceState(null, '', location.pathname + location.search)
  return given ?? undefined
}
