/** What an audio worklet finds around it; TypeScript's own libraries leave it out. */
declare const sampleRate: number
declare const currentFrame: number
declare class AudioWorkletProcessor {
  readonly port: MessagePort
  constructor(options?: AudioWorkletNodeOptions)
}
declare function registerProcessor(name: string, made: new () => AudioWorkletProcessor): void
