// Starts the language server and connects it to the editor.
"use strict";

const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

async function start() {
  const [command, ...args] = vscode.workspace.getConfiguration("flowrl").get("command");
  const options = {
    documentSelector: [{ language: "flowrl" }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.flowrl") },
  };
  client = new LanguageClient("flowrl", "flowrl", { command, args, transport: TransportKind.stdio }, options);
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const cure = "Install it by pip install 'flowrl-dsl[lsp]', or name another command in the setting flowrl.command.";
    vscode.window.showErrorMessage(`flowrl: "${command}" does not start the language server. ${cure} (${error.message})`);
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
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("flowrl.command") && restart()),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
