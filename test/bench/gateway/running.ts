import { GatewayFixture } from '../../integration/gateway/fixture';
import type { ServerProcess } from './server-process';

/** What a section started, ended in the reverse order however it ends. */
export class Running {
  private readonly started: (() => Promise<void>)[] = [];

  async server(start: Promise<ServerProcess>): Promise<ServerProcess> {
    const server = await start;
    this.started.push(() => server.stop());
    return server;
  }

  fixture(): GatewayFixture {
    const fixture = new GatewayFixture();
    this.started.push(() => fixture.dispose());
    return fixture;
  }

  async stop(): Promise<void> {
    for (const stop of this.started.splice(0).reverse()) await stop();
  }

  /** Runs a section with what it starts, and ends all of that. */
  static async during<T>(section: (running: Running) => Promise<T>): Promise<T> {
    const running = new Running();
    try {
      return await section(running);
    } finally {
      await running.stop();
    }
  }
}
