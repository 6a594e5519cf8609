// What the staff pages add when scripts run: live figures that never move under the cursor, and typed text that is never lost.
(function () {
  'use strict';

  // Puts new parts in place of old ones, and leaves open what was open.
  function replace(box, html) {
    var key = function (d, i) { return d.getAttribute('data-key') || String(i); };
    var open = Object.create(null);
    box.querySelectorAll('details').forEach(function (d, i) { open[key(d, i)] = d.open; });
    var scrolled = Array.prototype.map.call(box.querySelectorAll('.log, pre'), function (e) { return e.scrollTop; });
    box.innerHTML = html;
    box.querySelectorAll('details').forEach(function (d, i) { if (key(d, i) in open) d.open = open[key(d, i)]; });
    box.querySelectorAll('.log, pre').forEach(function (e, i) { e.scrollTop = scrolled[i] || 0; });
  }

  // Keys that act alone can be switched off (WCAG 2.1.4): whoever speaks to her computer, or whose hand is not steady, would press them unmeant. The switch stands
  // with the list of keys, on a page without one at the end, and the browser remembers it.
  var keys = document.querySelector('details.keys'), keyed = document.getElementById('keyed'), lettered = keyed && keyed.querySelector('input');
  function heed() {
    try { lettered.checked = localStorage.getItem('keys') !== 'off'; } catch (e) { /* a browser that keeps nothing: they act */ }
    document.documentElement.classList.toggle('keyless', !lettered.checked);
  }
  if (keyed) {
    if (keys) keys.appendChild(keyed);
    keyed.hidden = false;
    heed();
    lettered.addEventListener('change', function () {
      try { localStorage.setItem('keys', lettered.checked ? 'on' : 'off'); } catch (e) { /* it holds on this page */ }
      document.documentElement.classList.toggle('keyless', !lettered.checked);
    });
    window.addEventListener('storage', heed); // another tab switched it
    window.addEventListener('pageshow', heed); // and this page was shelved meanwhile
  }
  function passes(ev) {
    return document.documentElement.classList.contains('keyless') || ev.ctrlKey || ev.metaKey || ev.altKey;
  }

  // A slash goes to the search box, as on most sites that have one; not while somebody types.
  var find = document.getElementById('find');
  if (find) document.addEventListener('keydown', function (ev) {
    if (ev.key !== '/' || passes(ev) || ev.target.closest('input, textarea, select, [contenteditable]')) return;
    ev.preventDefault();
    find.focus();
  });

  var live = document.getElementById('live');
  if (live) {
    var shown = null;
    setInterval(function () {
      if (document.hidden || live.querySelector(':active') || live.contains(document.activeElement)) return;
      fetch(live.getAttribute('data-live'), { credentials: 'same-origin' }).then(function (answer) {
        return answer.ok && !answer.redirected ? answer.text() : null;
      }).then(function (html) {
        if (html !== null && html !== shown && !live.contains(document.activeElement)) replace(live, html);
        shown = html;
      }).catch(function () {});
    }, 2000);
  }

  // In a box with choices a letter presses its button, as long as the focus is in the box and nobody types; so it does the one that takes the last choice back.
  document.addEventListener('keydown', function (ev) {
    var box = ev.target.closest('.conflict');
    if (!box || passes(ev) || ev.target.closest('input, textarea, select')) return;
    var button = Array.prototype.find.call(document.querySelectorAll('[data-press]'), function (b) {
      return (box.contains(b) || b.hasAttribute('data-anywhere')) && b.getAttribute('data-press') === ev.key.toLowerCase();
    });
    if (!button) return;
    ev.preventDefault();
    button.click();
  });
  var next = document.querySelector('[data-next] .conflict [data-press]');
  if (next) next.focus();

  // Keys, which each page lists under ?; not while somebody types, and never with a modifier. A link that names a key in data-key is followed.
  var rows = document.querySelector('[data-rows]'), answer = document.getElementById('answer');
  function step(by) {
    var links = Array.prototype.slice.call(rows.querySelectorAll('tbody td > a.code'));
    var at = links.indexOf(document.activeElement);
    var to = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))];
    if (to) to.focus();
  }
  function write(forStaff) {
    document.getElementById('internal').checked = forStaff;
    document.getElementById('text').focus();
  }
  document.addEventListener('keydown', function (ev) {
    if (passes(ev) || ev.target.closest('input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]')) return;
    var take = document.querySelector('[data-key="a"]'), merge = document.querySelector('[data-key="m"]'), due = document.querySelector('.due a.button, .due button');
    var link = /^[a-z]$/.test(ev.key) && document.querySelector('a[data-key="' + ev.key + '"]');
    var act = {
      j: rows && function () { step(1); }, k: rows && function () { step(-1); },
      x: rows && rows.contains(document.activeElement) && function () { var box = document.activeElement.closest('tr').querySelector('[name=number]'); if (box) box.click(); },
      o: rows && rows.contains(document.activeElement) && function () { document.activeElement.click(); },
      r: answer && function () { write(false); }, n: answer && function () { write(true); }, a: take && function () { take.click(); },
      m: merge && function () { merge.click(); }, d: due && function () { due.focus(); },
      '?': keys && function () { keys.open = !keys.open; keys.querySelector('summary').focus(); }
    }[ev.key] || link && function () { link.click(); };
    if (!act) return;
    ev.preventDefault();
    act();
  });

  // Says every few seconds that the ticket is open here, and shows who else has it open and whether something new was said.
  var present = document.getElementById('present');
  if (present) {
    var words = document.getElementById('text'), types = false;
    var say = function (leaves) {
      var body = new URLSearchParams({ csrf: present.getAttribute('data-csrf') });
      types = !!words && !!words.value.trim() && document.activeElement === words;
      if (types) body.set('types', 'yes');
      if (leaves) body.set('leaves', 'yes');
      return fetch(present.getAttribute('data-presence'), { method: 'POST', body: body, credentials: 'same-origin', keepalive: !!leaves });
    };
    var attend = function () {
      if (document.hidden) return;
      say(false).then(function (answer) { return answer.ok && !answer.redirected ? answer.json() : null; }).then(function (now) {
        if (!now) return;
        var lines = now.others.map(function (o) { return o.says; });
        if (String(now.version) !== present.getAttribute('data-version')) lines.push(present.getAttribute('data-changed'));
        var text = lines.join(' ');
        if (text !== present.textContent.trim()) present.textContent = text;
        present.hidden = !text;
      }).catch(function () {});
    };
    attend();
    setInterval(attend, 8000);
    if (words) words.addEventListener('input', function () { if (!types) attend(); }); // whoever begins to write says so at once
    window.addEventListener('pagehide', function () { say(true).catch(function () {}); });
  }

  var form = document.getElementById('editor');
  if (!form || !form.hasAttribute('data-copy')) return;
  var saved = document.getElementById('saved'), unsaved = document.getElementById('unsaved'), check = document.getElementById('check');
  var timer = null, savedAt = 0, turn = 0, changed = false;
  function lasting(ms) {
    var unit = ms < 90000 ? ['second', 1000] : ms < 5400000 ? ['minute', 60000] : ['hour', 3600000];
    return new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit: unit[0], unitDisplay: 'short' }).format(Math.max(1, Math.round(ms / unit[1])));
  }
  function tell() {
    if (savedAt) saved.textContent = saved.getAttribute('data-ago').replace('{0}', lasting(Date.now() - savedAt));
  }
  function failed() {
    savedAt = 0;
    saved.textContent = '';
    unsaved.textContent = saved.getAttribute('data-failed');
    clearTimeout(timer);
    timer = setTimeout(save, 5000);
  }
  function written() {
    var typed = Object.create(null);
    new FormData(form).forEach(function (value, name) {
      if (name === 'csrf' || name === 'version') return;
      typed[name] = name in typed ? typed[name] + '\n' + value : value;
    });
    return typed;
  }
  // What the portal has not kept yet is kept in this tab, for a page that is loaded again on a line that failed, or before the portal had it.
  var shelf = 'copy ' + form.getAttribute('data-copy');
  function shelve(typed) {
    changed = !!typed;
    try {
      if (typed) sessionStorage.setItem(shelf, JSON.stringify(typed)); else sessionStorage.removeItem(shelf);
    } catch (e) { /* a browser that keeps nothing */ }
  }
  function unshelve() {
    var typed = null, how = performance.getEntriesByType('navigation')[0];
    try { typed = JSON.parse(sessionStorage.getItem(shelf)); } catch (e) { /* nor this */ }
    if (!typed || !how || how.type === 'navigate') return shelve(null);
    form.querySelectorAll('[name]').forEach(function (el) {
      if (el.type !== 'hidden') take(el.name, typed[el.name] || '');
    });
    save();
  }
  function save() {
    var typed = written(), mine = ++turn;
    clearTimeout(timer);
    fetch(form.getAttribute('data-copy'), {
      method: 'PUT', credentials: 'same-origin', keepalive: true, body: JSON.stringify(typed),
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': form.getAttribute('data-csrf') }
    }).then(function (answer) {
      if (!answer.ok || answer.redirected) return failed();
      savedAt = Date.now();
      unsaved.textContent = '';
      if (mine === turn) shelve(null);
      tell();
      return answer.text().then(function (html) {
        if (mine === turn && !check.contains(document.activeElement)) replace(check, html);
        var says = check.querySelector('[role=status]'), tally = document.getElementById('tally');
        if (mine === turn && says && tally) tally.textContent = says.textContent;
      });
    }).catch(failed);
  }
  form.addEventListener('input', function () {
    turn++; // an answer to what was sent before says nothing of this
    shelve(written());
    clearTimeout(timer);
    timer = setTimeout(save, 400);
  });
  form.addEventListener('submit', function () { // it brings all that is written; a copy that came behind it would be older than the draft
    clearTimeout(timer);
    changed = false;
  });
  form.addEventListener('keydown', function (ev) {
    if (ev.key !== 'Enter' || !(ev.ctrlKey || ev.metaKey)) return;
    ev.preventDefault();
    form.requestSubmit(form.querySelector('.save button.strong'));
  });
  window.addEventListener('online', function () { if (changed) save(); });
  window.addEventListener('pagehide', function () { if (changed) save(); });
  // A box ticked beside a field stands in place of its text, and typing takes the tick away.
  function textOf(box) { return box.closest('.field').querySelector('textarea, input:not([type=checkbox])'); }
  form.addEventListener('input', function (ev) {
    var el = ev.target, field = el.closest('.field');
    if (el.hasAttribute('data-word')) {
      var text = textOf(el);
      if (el.checked) {
        text.kept = text.value || text.kept;
        text.value = '';
        field.querySelectorAll('[data-word]').forEach(function (other) { if (other !== el) other.checked = false; });
      } else {
        text.value = text.kept || '';
      }
    } else if (field && el.value) {
      field.querySelectorAll('[data-word]').forEach(function (word) { word.checked = false; });
    }
    show();
  }, true);
  // Only the inputs that a kind uses are shown, and a figure that differs from the last update's says so at once.
  function show() {
    var now = new FormData(form);
    form.querySelectorAll('[data-kind]').forEach(function (part) {
      var used = part.getAttribute('data-for').split(' ').indexOf(now.getAll(part.getAttribute('data-kind'))[0]) >= 0;
      part.hidden = !used;
      part.querySelectorAll('input').forEach(function (input) { input.disabled = !used; });
    });
    form.querySelectorAll('.changed').forEach(function (mark) {
      var said = now.getAll(mark.getAttribute('data-of')).join('').trim();
      mark.hidden = !said || said === mark.getAttribute('data-was');
    });
    form.querySelectorAll('[data-changed]').forEach(function (part) { // a reason is asked for where the figure changed
      var mark = form.querySelector('.changed[data-of="' + part.getAttribute('data-changed') + '"]');
      part.hidden = !mark || mark.hidden;
    });
    form.querySelectorAll('.word').forEach(function (label) { // no further update, and nothing more to learn, are said at the end only
      var box = label.querySelector('input');
      label.hidden = box.value === 'none' && !box.checked && now.get('phase') !== 'resolved';
    });
  }
  function take(name, text) {
    var lines = text.split('\n');
    form.querySelectorAll('[name="' + name + '"]').forEach(function (el) {
      if (el.type === 'radio') el.checked = el.value === text || /:$/.test(el.value) && text.indexOf(el.value) === 0;
      else if (el.type === 'checkbox') el.checked = lines.indexOf(el.value) >= 0;
      else el.value = text;
    });
    form.querySelectorAll('[name="' + name + '"][data-word]:checked').forEach(function (word) { textOf(word).value = ''; });
  }
  form.querySelectorAll('.copy').forEach(function (button) {
    button.hidden = false;
    button.addEventListener('click', function () {
      if (button.hasAttribute('data-plus')) {
        var at = Math.ceil((began + (Date.now() - loaded) + button.getAttribute('data-plus') * 3600000) / 300000) * 300000;
        textOf(button).value = new Date(at).toISOString().slice(0, 16).replace('T', ' ');
        textOf(button).dispatchEvent(new Event('input', { bubbles: true }));
        return;
      }
      var fields = JSON.parse(button.getAttribute('data-take'));
      Object.keys(fields).forEach(function (name) { take(name, fields[name]); });
      form.dispatchEvent(new Event('input'));
      show();
      form.querySelector('[name="' + Object.keys(fields)[0] + '"]').focus();
    });
  });
  var began = Date.parse(form.getAttribute('data-now')), loaded = Date.now(); // the desk's clock, which a replay sets
  unshelve();
  show();
  setInterval(tell, 1000);
})();
