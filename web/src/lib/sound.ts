/** The browser's sound: one context at the device's own rate, a worklet that listens and one that speaks. */
import listenUrl from '../worklets/listen.ts?worker&url'
import speakUrl from '../worklets/speak.ts?worker&url'
import type { Chunk, Order, Report } from '../worklets/messages'

export interface Ears {
  heard(chunk: Chunk): void
  reported(report: Report): void
  /** The device went away, or the system took it. */
  lost(): void
  /** The browser stopped or restarted the context. */
  changed(state: AudioContextState): void
}

export interface Devices {
  inputs: MediaDeviceInfo[]
  outputs: MediaDeviceInfo[]
}

/** Hz: the most that servers take. */
const MOST = 48_000

type SinkContext = AudioContext & { setSinkId?: (id: string) => Promise<void> }

export class Sound {
  private stream: MediaStream | null = null
  private source: AudioNode | null = null

  private constructor(
    readonly context: AudioContext,
    private readonly listen: AudioWorkletNode,
    private readonly speak: AudioWorkletNode,
    private readonly ears: Ears,
  ) {
    listen.port.onmessage = ({ data }: MessageEvent<Chunk>) => ears.heard(data)
    speak.port.onmessage = ({ data }: MessageEvent<Report>) => ears.reported(data)
    context.onstatechange = () => ears.changed(context.state)
    // It gives silence; but what leads nowhere may not be run.
    listen.connect(context.destination)
    speak.connect(context.destination)
  }

  static async open(ears: Ears): Promise<Sound> {
    let context = new AudioContext({ latencyHint: 'interactive' })
    if (context.sampleRate > MOST) {
      await context.close()
      context = new AudioContext({ latencyHint: 'interactive', sampleRate: MOST })
    }
    try {
      await Promise.all([context.audioWorklet.addModule(listenUrl), context.audioWorklet.addModule(speakUrl)])
      const mono: AudioWorkletNodeOptions = { channelCount: 1, channelCountMode: 'explicit', outputChannelCount: [1] }
      const listen = new AudioWorkletNode(context, 'listen', mono)
      const speak = new AudioWorkletNode(context, 'speak', { numberOfInputs: 0, outputChannelCount: [1] })
      // Without a gesture of the user it stays suspended, and this promise would never settle.
      void context.resume()
      return new Sound(context, listen, speak, ears)
    } catch (failure) {
      await context.close()
      throw failure
    }
  }

  get rate(): number {
    return this.context.sampleRate
  }

  /** Seconds from the worklet to the ear, as far as the browser knows. */
  get out(): number {
    return this.context.outputLatency || this.context.baseLatency || 0
  }

  /** Seconds from the air to the worklet, where the browser says it. */
  get in(): number | null {
    const settings = this.stream?.getAudioTracks()[0]?.getSettings() as { latency?: number } | undefined
    return settings?.latency ?? null
  }

  order(order: Order): void {
    this.speak.port.postMessage(order)
  }

  gate(open: boolean): void {
    this.listen.port.postMessage({ open })
  }

  /** Listens to a microphone; throws what `getUserMedia` throws. */
  async useMicrophone(device: string, cancelEcho: boolean): Promise<void> {
    const audio: MediaTrackConstraints = {
      channelCount: 1,
      echoCancellation: cancelEcho,
      noiseSuppression: cancelEcho,
      autoGainControl: cancelEcho,
    }
    if (device) audio.deviceId = { exact: device }
    const stream = await navigator.mediaDevices.getUserMedia({ audio })
    this.release()
    this.stream = stream
    stream.getAudioTracks()[0]!.onended = () => {
      if (this.stream === stream) this.ears.lost()
    }
    this.use(this.context.createMediaStreamSource(stream))
  }

  decode(bytes: ArrayBuffer): Promise<AudioBuffer> {
    return this.context.decodeAudioData(bytes)
  }

  /** Plays a recording into what listens, in real time, instead of the microphone; ends with silence. */
  useRecording(recording: AudioBuffer): Promise<void> {
    const source = new AudioBufferSourceNode(this.context, { buffer: recording })
    this.use(source)
    source.start()
    return new Promise((done) => {
      source.onended = () => {
        if (this.source === source) this.use(this.stream && this.context.createMediaStreamSource(this.stream))
        done()
      }
    })
  }

  /** Plays on this device; false where the browser cannot choose. */
  async useSpeaker(device: string): Promise<boolean> {
    const context: SinkContext = this.context
    if (!context.setSinkId) return false
    await context.setSinkId(device)
    return true
  }

  /** Goes on after the browser or the system stopped it, if they let it. */
  wake(): void {
    if (this.context.state !== 'running') void this.context.resume()
  }

  async close(): Promise<void> {
    this.release()
    this.context.onstatechange = null
    await this.context.close()
  }

  private use(source: AudioNode | null): void {
    this.source?.disconnect()
    this.source = source
    source?.connect(this.listen)
  }

  private release(): void {
    this.use(null)
    this.stream?.getTracks().forEach((track) => track.stop())
    this.stream = null
  }
}

/** The devices by kind; names are empty until the microphone was allowed once. */
export async function devices(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? []
  const of = (kind: MediaDeviceKind): MediaDeviceInfo[] => all.filter((d) => d.kind === kind && d.deviceId !== '')
  return { inputs: of('audioinput'), outputs: of('audiooutput') }
}

export const canChooseSpeaker = (): boolean => 'setSinkId' in (globalThis.AudioContext?.prototype ?? {})
