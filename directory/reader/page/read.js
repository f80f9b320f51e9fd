'use strict'
// The page: takes the files, hands them to the Worker, and shows what comes back.
// Whatever is from a mail goes into the page as text only; HTML goes into the
// frame (frame.html).
;(() => {
  const at = id => document.getElementById(id)
  const words = JSON.parse(at('words').textContent)
  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name])
  const form = at('form')
  const lang = document.documentElement.lang
  let mail = null // the File
  let known = null // what the Worker said of the key
  let links = [] // URLs of attachments, until the next mail
  let shown = new AbortController() // ends what listens for the frames of a mail

  // The Worker, and the calls that wait for it.
  let worker = null
  let waiting = new Map()
  let calls = 0

  const start = () => {
    worker = new Worker(form.dataset.worker)
    worker.onmessage = ({ data }) => {
      if (data.gone) stop('memory')
      else if (data.failed) stop('load')
      else {
        const done = waiting.get(data.id)
        waiting.delete(data.id)
        if (done) done(data.answer)
      }
    }
    worker.onerror = event => {
      event.preventDefault()
      stop('load')
    }
  }

  const stop = error => {
    if (worker) worker.terminate()
    worker = null
    const all = waiting
    waiting = new Map()
    for (const done of all.values()) done({ error })
    forgetKey()
  }

  const ask = (does, more = {}) => new Promise(done => {
    if (!worker) start()
    waiting.set(++calls, done)
    worker.postMessage({ id: calls, does, ...more })
  })

  // What is said to the person.
  const busy = key => {
    at('open').disabled = Boolean(key)
    at('status').textContent = key ? say(key) : ''
  }
  const trouble = (key, field) => {
    for (const id of ['mail', 'key', 'passphrase']) {
      at(id).removeAttribute('aria-invalid')
    }
    at('trouble').hidden = !key
    at('trouble').textContent = key ? words[key] || words.unknown : ''
    if (field) {
      at(field).setAttribute('aria-invalid', 'true')
      at(field).focus()
    }
  }

  // The mail: chosen, or dropped anywhere on the page.
  const take = file => {
    if (!file) return
    mail = file
    at('mail-name').textContent = `${file.name} (${size(file.size)})`
    at('drop').classList.add('full')
    trouble()
  }
  at('mail').addEventListener('change', () => take(at('mail').files[0]))
  let over = 0
  const lit = on => at('drop').classList.toggle('over', on)
  document.addEventListener('dragenter', () => lit(++over > 0))
  document.addEventListener('dragleave', () => lit(--over > 0))
  document.addEventListener('dragover', event => event.preventDefault())
  document.addEventListener('drop', event => {
    event.preventDefault()
    lit(over = 0)
    if (event.target === at('key')) {
      at('key').files = event.dataTransfer.files
      return
    }
    if (!at('letter').hidden) another()
    take(event.dataTransfer.files[0])
  })

  // The key.
  const kept = () => at('which-kept') && at('which-kept').checked
  for (const radio of document.querySelectorAll('[name=which]')) {
    radio.addEventListener('change', () => {
      at('own').hidden = kept()
      trouble()
    })
  }
  const keepKey = key => {
    known = key
    at('key-name').textContent = say('key-for', { who: key.addresses.join(', ') || key.subject, kind: key.key, until: day(key.until) })
    at('key-ask').hidden = true
    at('key-known').hidden = false
    at('key').value = at('passphrase').value = ''
  }
  const forgetKey = () => {
    known = null
    at('key-ask').hidden = false
    at('key-known').hidden = true
  }
  at('forget').addEventListener('click', () => {
    if (worker) worker.terminate() // and with it all that it remembers
    worker = null
    forgetKey()
    at('status').textContent = say('forgotten')
  })

  const getKey = async () => {
    if (known) return true
    let key, field
    if (kept()) {
      busy('fetch')
      key = await ask('takeKey', { call: form.dataset.call, csrf: form.dataset.csrf })
    } else {
      const file = at('key').files[0]
      if (!file) {
        trouble('no-file', 'key')
        return false
      }
      if (file.size > 1 << 20) {
        trouble('key-file', 'key')
        return false
      }
      busy('key')
      key = await ask('readKey', { file, passphrase: at('passphrase').value })
      field = key.error === 'passphrase' ? 'passphrase' : 'key'
    }
    busy()
    if (key.error) trouble(key.error, field)
    else keepKey(key)
    return !key.error
  }

  form.addEventListener('submit', async event => {
    event.preventDefault()
    trouble()
    if (!mail) return trouble('no-mail', 'mail')
    if (!await getKey()) return
    busy('open')
    const letter = await ask('open', { file: mail })
    busy()
    if (letter.error) trouble(letter.error)
    else show(letter)
  })

  // The letter.
  const add = (parent, name, text, kind) => {
    const e = document.createElement(name)
    if (text !== undefined) e.textContent = text
    if (kind) e.className = kind
    parent.append(e)
    return e
  }
  const note = text => add(at('notes'), 'p', text, 'note')

  const show = letter => {
    clear()
    at('subject').textContent = letter.subject || say('no-subject')
    let headed = Boolean(letter.subject)
    for (const name of ['from', 'to', 'cc', 'date']) {
      const value = name === 'date' ? moment(letter.date) : letter[name]
      at(name).textContent = value
      at('row-' + name).hidden = !value
      headed = headed || Boolean(value)
    }
    at('unchecked').hidden = !headed
    if (letter.signed) note(say('signed'))
    if (letter.damaged) note(say('damaged-mail'))
    if (!letter.bodies.length) note(say('empty'))
    for (const body of letter.bodies) showBody(body, letter.parts)
    const files = letter.parts.filter(p => !p.shown)
    at('files').hidden = !files.length
    for (const file of files) showFile(file)
    at('ask').hidden = true
    at('letter').hidden = false
    at('subject').focus()
    scrollTo(0, 0)
  }

  const showBody = (body, parts) => {
    const box = add(at('bodies'), 'section', undefined, 'body')
    box.setAttribute('aria-label', say('letter'))
    if (!body.html) {
      add(box, 'pre', body.text)
      return
    }
    let plain
    if (body.text) {
      const bar = add(box, 'div', undefined, 'switch')
      const button = add(bar, 'button', at('bodies').dataset.text, 'small')
      button.type = 'button'
      button.addEventListener('click', () => {
        plain.hidden = !plain.hidden
        frame.hidden = !plain.hidden
        button.textContent = plain.hidden ? at('bodies').dataset.text : at('bodies').dataset.letter
      })
    }
    const frame = document.createElement('iframe')
    frame.title = say('letter')
    frame.setAttribute('sandbox', 'allow-scripts allow-popups allow-popups-to-escape-sandbox')
    frame.referrerPolicy = 'no-referrer'
    frame.addEventListener('load', () => {
      const pictures = parts.filter(p => p.shown).map(({ id, type, data }) => ({ id, type, data }))
      frame.contentWindow.postMessage({ html: body.html, pictures, title: say('letter') }, '*') // it has no origin
    }, { once: true })
    addEventListener('message', ({ source, data }) => {
      if (source !== frame.contentWindow || !data.shown) return
      frame.dataset.shown = 'true'
      const n = Number(data.blocked)
      if (n > 0) note(n === 1 ? say('blocked-one') : say('blocked', { n }))
    }, { signal: shown.signal })
    frame.src = form.dataset.frame
    box.append(frame)
    if (body.text) {
      plain = add(box, 'pre', body.text)
      plain.hidden = true
    }
  }

  const showFile = file => {
    const row = add(at('list'), 'li')
    const what = add(row, 'div', undefined, 'what')
    add(what, 'strong', file.name)
    add(what, 'span', size(file.data.byteLength))
    if (file.damaged) add(what, 'span', say('damaged-part'), 'bad')
    // Nothing of a mail is ever opened in the place of this page.
    const url = URL.createObjectURL(new Blob([file.data], { type: 'application/octet-stream' }))
    links.push(url)
    const save = add(row, 'a', say('save'), 'button quiet')
    save.href = url
    save.download = file.name
    save.setAttribute('aria-label', `${say('save')}: ${file.name}`)
  }

  const clear = () => {
    for (const url of links) URL.revokeObjectURL(url)
    links = []
    shown.abort()
    shown = new AbortController()
    for (const id of ['notes', 'bodies', 'list']) at(id).replaceChildren()
  }

  const another = () => {
    clear()
    mail = null
    at('mail').value = at('mail-name').textContent = ''
    at('drop').classList.remove('full')
    at('letter').hidden = true
    at('ask').hidden = false
    at('main').focus()
  }
  at('another').addEventListener('click', another)

  // Words for numbers.
  const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 })
  const size = n => n < 1000 ? `${n} B` : n < 1e6 ? `${number.format(n / 1e3)} kB` : `${number.format(n / 1e6)} MB`
  const day = iso => new Intl.DateTimeFormat(lang, { dateStyle: 'long' }).format(new Date(iso))
  const moment = iso => iso ? new Intl.DateTimeFormat(lang, { dateStyle: 'long', timeStyle: 'short' }).format(new Date(iso)) : ''

  form.hidden = false
  start() // while the person is choosing
})()
