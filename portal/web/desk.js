// What the staff pages add when scripts run: live figures that never move under the cursor, and typed text that is never lost.
(function () {
  'use strict';
  var live = document.getElementById('live');
  if (live) {
    var refresh = function () {
      if (document.hidden || live.matches(':hover') && live.querySelector(':active') || live.contains(document.activeElement)) return;
      fetch(live.getAttribute('data-live'), { credentials: 'same-origin' }).then(function (answer) {
        if (!answer.ok || answer.redirected) return null;
        return answer.text();
      }).then(function (html) {
        if (html === null) return;
        var open = Array.prototype.map.call(live.querySelectorAll('details'), function (d) { return d.open; });
        live.innerHTML = html;
        live.querySelectorAll('details').forEach(function (d, i) { d.open = Boolean(open[i]); });
      }).catch(function () {});
    };
    setInterval(refresh, 2000);
  }

  var form = document.getElementById('editor');
  if (!form || !form.hasAttribute('data-copy')) return;
  var saved = document.getElementById('saved');
  var timer = null;
  var save = function () {
    var typed = {};
    new FormData(form).forEach(function (value, name) {
      if (name === 'csrf' || name === 'update' || name === 'version') return;
      typed[name] = name in typed ? typed[name] + '\n' + value : value;
    });
    fetch(form.getAttribute('data-copy'), {
      method: 'PUT', credentials: 'same-origin', body: JSON.stringify(typed),
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': form.getAttribute('data-csrf') }
    }).then(function (answer) {
      saved.textContent = saved.getAttribute(answer.ok ? 'data-saved' : 'data-failed');
      saved.className = answer.ok ? '' : 'failed';
    }).catch(function () { saved.textContent = saved.getAttribute('data-failed'); saved.className = 'failed'; });
  };
  form.addEventListener('input', function () { clearTimeout(timer); timer = setTimeout(save, 500); });
})();
