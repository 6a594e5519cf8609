// What the pages of checks add when scripts run: keys, a lease whose end is in sight, and typed text that is kept while it is typed.
(function () {
  'use strict';
  var form = document.getElementById('checkrun');
  var typing = function (el) { return el.closest('input:not([type=radio]), textarea, select, [contenteditable]'); };

  document.addEventListener('keydown', function (ev) {
    if (document.documentElement.classList.contains('keyless') || ev.ctrlKey || ev.metaKey || ev.altKey || typing(ev.target)) return; // desk.js has the switch
    var next = document.querySelector('[data-key="n"]');
    if (ev.key === 'n' && next) {
      ev.preventDefault();
      next.click();
    } else if (form && form.hasAttribute('data-run') && /^[1-9]$/.test(ev.key)) {
      var item = form.querySelectorAll('.item')[Number(ev.key) - 1];
      if (!item) return;
      ev.preventDefault();
      var done = item.querySelector('[value="done"]'), open = item.querySelector('[type=radio][value=""]');
      (done.checked ? open : done).checked = true;
      var value = item.querySelector('[name^="value."]');
      if (done.checked && value && !value.value) value.focus(); else done.focus();
      form.dispatchEvent(new Event('input', { bubbles: true }));
    } else if (form && form.hasAttribute('data-run') && ev.key === 'Enter' && !ev.target.closest('button, a, summary')) {
      ev.preventDefault();
      form.requestSubmit(form.querySelector('[value="passed"].strong'));
    }
  });
  if (!form || !form.hasAttribute('data-run')) return;

  var lease = document.getElementById('lease'), saved = document.getElementById('saved'), lost = document.getElementById('lost');
  var end = Date.now() + 1000 * Number(lease.getAttribute('data-seconds')), timer = null, gone = false, changed = false, submitted = false, sent = 0, flight = null;
  var two = function (n) { return n < 10 ? '0' + n : String(n); };
  function show() {
    var left = Math.max(0, Math.round((end - Date.now()) / 1000));
    lease.textContent = left ? lease.getAttribute('data-left').replace('{0}', Math.floor(left / 60) + ':' + two(left % 60)) : lease.getAttribute('data-over');
    lease.classList.toggle('late', left < 120);
  }
  function say(key) {
    lost.textContent = lost.getAttribute(key);
    lost.hidden = false;
  }
  function written() {
    var w = { epoch: Number(form.getAttribute('data-epoch')), results: Object.create(null), notes: form.elements.notes.value };
    form.querySelectorAll('.item').forEach(function (item) {
      var key = item.id.slice('results.'.length), value = item.querySelector('[name^="value."]');
      w.results[key] = { state: item.querySelector('[type=radio]:checked').value, value: value ? value.value : '', why: item.querySelector('[name^="why."]').value };
    });
    return w;
  }
  // What is not kept by the portal yet is kept in this tab, so that a page that is loaded again, on a line that failed or before the portal had it, shows it.
  var shelf = 'check ' + form.getAttribute('data-run');
  function shelve(w) {
    try {
      if (w) sessionStorage.setItem(shelf, JSON.stringify(w)); else sessionStorage.removeItem(shelf);
    } catch (e) { /* a browser that keeps nothing */ }
  }
  function unshelve() {
    var w = null;
    try { w = JSON.parse(sessionStorage.getItem(shelf)); } catch (e) { /* nor this */ }
    if (!w || w.epoch !== Number(form.getAttribute('data-epoch'))) return shelve(null);
    form.elements.notes.value = w.notes;
    form.querySelectorAll('.item').forEach(function (item) {
      var was = w.results[item.id.slice('results.'.length)], value = item.querySelector('[name^="value."]');
      if (!was) return;
      item.querySelectorAll('[type=radio]').forEach(function (r) { r.checked = r.value === was.state; });
      if (value) value.value = was.value;
      item.querySelector('[name^="why."]').value = was.why;
    });
    changed = true;
    beat();
  }
  // Says that somebody is here, with all that is written. What cannot stand yet (a reason that is still missing) is kept at the next word.
  function beat() {
    if (gone) return;
    clearTimeout(timer);
    var mine = ++sent;
    flight = new AbortController();
    fetch(form.getAttribute('data-run'), {
      method: 'PUT', credentials: 'same-origin', keepalive: true, signal: flight.signal, body: JSON.stringify(written()),
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': form.getAttribute('data-csrf') }
    }).then(function (answer) {
      if (answer.status === 409) {
        gone = true;
        return say('data-lost');
      }
      if (answer.status === 422) return;
      if (!answer.ok || answer.redirected) throw new Error('not kept');
      return answer.json().then(function (now) {
        end = Date.now() + 1000 * now.seconds;
        lost.hidden = true;
        if (mine === sent) {
          changed = false;
          shelve(null);
          saved.textContent = saved.getAttribute('data-saved');
        }
        show();
      });
    }).catch(function () {
      if (gone) return;
      say('data-unsaved');
      clearTimeout(timer);
      timer = setTimeout(beat, 5000);
    });
  }
  form.addEventListener('input', function () {
    changed = true;
    shelve(written());
    saved.textContent = '';
    clearTimeout(timer);
    timer = setTimeout(beat, 400);
  });
  form.addEventListener('submit', function (ev) { // it brings all that is written: a second one, or what is being saved, would come too late and be refused
    if (submitted) return ev.preventDefault();
    submitted = gone = true;
    clearTimeout(timer);
    if (flight) flight.abort();
  });
  window.addEventListener('online', function () { if (changed) beat(); });
  window.addEventListener('pagehide', function () { if (changed) beat(); });
  setInterval(show, 1000);
  setInterval(beat, 1000 * Number(form.getAttribute('data-beat')));
  show();
  unshelve();
})();
