// What the status page adds when scripts run: time left to the next word, the age of this page, and a quiet hint when a newer
// page is there. Without it the same facts stand in the text. Nothing moves under the reader's eyes: no reload by itself.
(function () {
  'use strict';
  var root = document.documentElement;
  var written = Date.parse(root.getAttribute('data-written') || '');
  if (isNaN(written)) return;

  function fill(form, n) { return form.replace('{n}', n); }

  // words picks the sentence for a duration from the element's own data: days, hours, minutes, or "now".
  function words(el, ms) {
    var minutes = Math.round(Math.abs(ms) / 60000);
    var side = ms < 0 && el.hasAttribute('data-late-minutes') ? 'late' : 'in';
    if (minutes < 1) return el.getAttribute('data-now') || '';
    if (minutes < 120) return fill(el.getAttribute('data-' + side + '-minutes'), minutes);
    if (minutes < 2880) return fill(el.getAttribute('data-' + side + '-hours'), Math.round(minutes / 60));
    return fill(el.getAttribute('data-' + side + '-days'), Math.round(minutes / 1440));
  }

  function tick() {
    var now = Date.now();
    document.querySelectorAll('[data-until]').forEach(function (el) {
      el.textContent = words(el, Date.parse(el.getAttribute('data-until')) - now);
    });
    document.querySelectorAll('[data-since]').forEach(function (el) {
      el.textContent = words(el, now - Date.parse(el.getAttribute('data-since')));
    });
  }

  var hint = document.getElementById('newer');
  function look() {
    if (!hint || !hint.hidden || document.hidden) return;
    fetch(location.pathname, { method: 'HEAD', cache: 'no-cache' }).then(function (answer) {
      var tag = answer.ok && answer.headers.get('ETag');
      if (!tag) return;
      tag = tag.replace(/^W\/|-(?:br|gzip)(?="$)/g, '');
      if (look.tag && look.tag !== tag) hint.hidden = false;
      look.tag = look.tag || tag;
    }).catch(function () {});
  }

  tick();
  setInterval(tick, 15000);
  look();
  setInterval(look, 60000);
})();
