'use strict'
// The Worker holds the keys and does the work. The page gives it files; what it
// fetches is the module, and, when asked for, the key of a claimed session.
importScripts('wasm_exec.js')

const go = new Go()
const ready = WebAssembly.instantiateStreaming(fetch('reader.wasm'), go.importObject).then(made => {
  go.run(made.instance).finally(() => postMessage({ gone: true })) // out of memory, as a rule
})
ready.catch(() => postMessage({ failed: true }))

const work = {
  async readKey ({ file, passphrase }) {
    return sealpost.readKey(new Uint8Array(await file.arrayBuffer()), passphrase)
  },

  async takeKey ({ call, csrf }) {
    const body = new URLSearchParams({ csrf, public: sealpost.askKey().public })
    const answer = await fetch(call, { method: 'POST', body, redirect: 'error' }).catch(() => null)
    if (!answer || !answer.ok) return { error: answer && answer.status < 500 ? 'session' : 'load' }
    return sealpost.takeKey(new Uint8Array(await answer.arrayBuffer()))
  },

  open: ({ file }) => sealpost.open(file)
}

onmessage = async event => {
  const { id, does } = event.data
  try {
    await ready
    const answer = await work[does](event.data)
    postMessage({ id, answer }, (answer.parts || []).map(p => p.data.buffer))
  } catch {
    postMessage({ id, answer: { error: 'unknown' } })
  }
}
