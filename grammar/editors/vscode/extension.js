// Starts the language server and connects it to the editor.
"use strict";

const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

const SETTING = "flowrl.command";
let client;

// The messages of the library name no cure, and a server that ends at once causes several: the first is shown, with a cure.
class Client extends LanguageClient {
  error(message, data, show = true) {
    super.error(message, data, false);
    if (show && !this.reported) {
      this.report(message);
    }
  }

  async report(message) {
    this.reported = true;
    const [settings, output] = ["Open the setting", "Show the output"];
    const cure = `Install the server by pip install 'flowrl-dsl[lsp]', or name its command in the setting ${SETTING}.`;
    const chosen = await vscode.window.showErrorMessage(`${message} ${cure}`, settings, output);
    if (chosen === settings) {
      vscode.commands.executeCommand("workbench.action.openSettings", SETTING);
    } else if (chosen === output) {
      this.outputChannel.show();
    }
    this.reported = false;
  }
}

async function start() {
  const [command, ...args] = vscode.workspace.getConfiguration().get(SETTING);
  const options = {
    documentSelector: [{ language: "flowrl" }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.flowrl") },
    initializationFailedHandler: () => false,
  };
  client = new Client("flowrl", "flowrl", { command, args, transport: TransportKind.stdio }, options);
  try {
    await client.start();
  } catch {
    client = undefined; // it has reported the error
  }
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

async function restart() {
  await stop();
  await start();
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("flowrl.restart", restart),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration(SETTING) && restart()),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
