// What the staff pages add when scripts run: live figures that never move under the cursor, and typed text that is never lost.
(function () {
  'use strict';

  // Puts new parts in place of old ones, and leaves open what was open.
  function replace(box, html) {
    var key = function (d, i) { return d.getAttribute('data-key') || String(i); };
    var open = {};
    box.querySelectorAll('details').forEach(function (d, i) { open[key(d, i)] = d.open; });
    var scrolled = Array.prototype.map.call(box.querySelectorAll('.log, pre'), function (e) { return e.scrollTop; });
    box.innerHTML = html;
    box.querySelectorAll('details').forEach(function (d, i) { if (key(d, i) in open) d.open = open[key(d, i)]; });
    box.querySelectorAll('.log, pre').forEach(function (e, i) { e.scrollTop = scrolled[i] || 0; });
  }

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

  var form = document.getElementById('editor');
  if (!form || !form.hasAttribute('data-copy')) return;
  var saved = document.getElementById('saved'), unsaved = document.getElementById('unsaved'), check = document.getElementById('check');
  var timer = null, savedAt = 0, turn = 0;
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
  }
  function save() {
    var typed = {}, mine = ++turn;
    new FormData(form).forEach(function (value, name) {
      if (name === 'csrf' || name === 'version') return;
      typed[name] = name in typed ? typed[name] + '\n' + value : value;
    });
    fetch(form.getAttribute('data-copy'), {
      method: 'PUT', credentials: 'same-origin', keepalive: true, body: JSON.stringify(typed),
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': form.getAttribute('data-csrf') }
    }).then(function (answer) {
      if (!answer.ok || answer.redirected) return failed();
      savedAt = Date.now();
      unsaved.textContent = '';
      tell();
      return answer.text().then(function (html) {
        if (mine === turn && !check.contains(document.activeElement)) replace(check, html);
      });
    }).catch(failed);
  }
  form.addEventListener('input', function () { clearTimeout(timer); timer = setTimeout(save, 400); });
  form.querySelectorAll('.copy').forEach(function (button) {
    button.hidden = false;
    button.addEventListener('click', function () {
      var field = document.getElementById(button.getAttribute('data-to'));
      field.value = button.getAttribute('data-text');
      field.focus();
      field.dispatchEvent(new Event('input', { bubbles: true }));
    });
  });
  setInterval(tell, 1000);
})();
