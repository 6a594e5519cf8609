// What the pages of customers add when scripts run: times in the reader's own zone, on paper when it was printed, and on the status page how far away the next word is, how old this page
// is, and a quiet hint when a newer one is there. Without it the same facts stand in the text. Nothing moves under the reader's eyes and nothing reloads itself.
(function () {
  'use strict';
  var root = document.documentElement;

  // Written as templates.Catalog.Time writes a vendor's zone: "2022-04-14 09:00 UTC+9 (00:00 UTC)".
  function two(n) { return (n < 10 ? '0' : '') + n; }
  function here(at) {
    var away = -at.getTimezoneOffset(), utc = at.toISOString().slice(0, 16).replace('T', ' '), local, beside;
    if (!away) return utc + ' UTC';
    local = at.getFullYear() + '-' + two(at.getMonth() + 1) + '-' + two(at.getDate());
    beside = (local === utc.slice(0, 10) ? utc.slice(11) : utc) + ' UTC';
    local += ' ' + two(at.getHours()) + ':' + two(at.getMinutes()) + ' UTC' + (away < 0 ? '-' : '+') + Math.floor(Math.abs(away) / 60) + (away % 60 ? ':' + two(Math.abs(away) % 60) : '');
    return (root.getAttribute('data-local') || '{0} ({1})').replace('{0}', local).replace('{1}', beside);
  }
  document.querySelectorAll('time[datetime]').forEach(function (el) {
    var at = new Date(el.dateTime);
    if (at.getTimezoneOffset() && (/\d\d:\d\d UTC/).test(el.textContent)) el.textContent = here(at);
  });

  // What is printed says when it was.
  var paper = document.querySelector('.paper');
  if (paper) {
    addEventListener('beforeprint', function () {
      paper.textContent = paper.getAttribute('data-words').replace('{0}', here(new Date()));
      paper.hidden = false;
    });
    addEventListener('afterprint', function () { paper.hidden = true; });
  }

  if (!root.hasAttribute('data-written') || !window.Intl || !Intl.RelativeTimeFormat) return;
  var relative = new Intl.RelativeTimeFormat(root.lang, { numeric: 'always' });
  var lasting = function (ms, unit, size) {
    return new Intl.NumberFormat(root.lang, { style: 'unit', unit: unit, unitDisplay: 'long' }).format(Math.max(1, Math.round(ms / size)));
  };

  function unitOf(ms) {
    var minutes = Math.abs(ms) / 60000;
    return minutes < 90 ? ['minute', 60000] : minutes < 2880 ? ['hour', 3600000] : ['day', 86400000];
  }

  function tick() {
    var now = Date.now();
    document.querySelectorAll('[data-until]').forEach(function (incident) {
      var line = incident.querySelector('.update .next'), el = incident.querySelector('.left');
      if (!line) return;
      if (!el) {
        el = document.createElement('span');
        el.className = 'left';
        line.append(' ', el);
      }
      var left = Date.parse(incident.getAttribute('data-until')) - now, u = unitOf(left);
      el.textContent = left > 0 ? incident.getAttribute('data-words').replace('{n}', lasting(left, u[0], u[1])) : incident.getAttribute('data-late');
    });
    document.querySelectorAll('[data-since]').forEach(function (el) {
      var age = now - Date.parse(el.getAttribute('data-since')), u = unitOf(age);
      el.textContent = age < 30000 ? '' : '(' + relative.format(-Math.max(1, Math.round(age / u[1])), u[0]) + ')';
    });
  }

  var hint = document.getElementById('newer'), seen = '';
  function look() {
    if (!hint || !hint.hidden || document.hidden) return;
    fetch(location.pathname, { method: 'HEAD', cache: 'no-cache' }).then(function (answer) {
      var tag = answer.ok && (answer.headers.get('ETag') || answer.headers.get('Last-Modified')); // not every file server has tags
      if (tag && seen && tag !== seen) hint.hidden = false;
      seen = seen || tag;
    }).catch(function () {});
  }

  // One stream says that an edition is there; all readers ask for it within three seconds, and not at once. Where there is no stream, as in a copy
  // of this page that a file server serves, each asks every minute.
  var live = false, told = '';
  if (hint && window.EventSource) {
    var stream = new EventSource('/live');
    stream.onopen = function () { live = true; };
    stream.onerror = function () { live = false; };
    stream.onmessage = function (event) {
      if (told && told !== event.data) setTimeout(look, Math.random() * 3000);
      told = event.data;
    };
  }

  tick();
  setInterval(tick, 15000);
  look();
  setInterval(function () { if (!live) look(); }, 60000);
  document.addEventListener('visibilitychange', look);
})();
