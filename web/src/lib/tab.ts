/** What happens to the tab around a conversation: it sleeps and wakes, the network goes and comes, it is left. */

export interface Tab {
  woke(): void
  offline(): void
  left(): void
  /** The user pressed something, after which browsers let a page sound. */
  pressed(): void
  devicesChanged(): void
}

export function watch(tab: Tab): void {
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && tab.woke())
  document.addEventListener('resume', () => tab.woke())
  addEventListener('online', () => tab.woke())
  addEventListener('offline', () => tab.offline())
  addEventListener('pagehide', () => tab.left())
  for (const gesture of ['pointerdown', 'keydown']) addEventListener(gesture, () => tab.pressed())
  navigator.mediaDevices?.addEventListener('devicechange', () => tab.devicesChanged())
}
