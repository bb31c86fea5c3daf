// In Orthanc Explorer: a link to the Habitus page, and a button that has the study or series shown analysed
// (jQuery Mobile 1.x: live, pagebeforeshow).
(function () {
  'use strict';

  function analyse(level, identifier) {
    var fields = {};
    fields[level] = identifier;
    return fetch('../habitus/analyses', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'habitus' },
      body: JSON.stringify(fields),
    }).then(function (response) {
      if (response.ok) return 'Asked for. See the Habitus page.';
      var fault = JSON.parse(response.headers.get('X-Habitus-Fault') || '{}');
      return fault.found
        ? 'Not accepted: found ' + fault.found + '; wanted ' + fault.wanted + '. ' + fault.advice
        : 'Not accepted: HTTP ' + response.status;
    });
  }

  function button(level, identifier) {
    var said = $('<span class="habitus-said" role="status"></span>');
    return $('<p class="habitus-link"></p>').append(
      $('<button type="button" class="habitus-analyse" data-role="none">Analyse with Habitus</button>')
        .click(function () {
          said.text(' …');
          analyse(level, identifier).then(
            function (text) { said.text(' ' + text); },
            function (error) { said.text(' ' + error.message); });
        }), said);
  }

  $('#lookup, #study, #series').live('pagebeforeshow', function () {
    var page = $(this);
    var content = page.find('[data-role="content"]').first();
    page.find('.habitus-link').remove();           // the page is shown again for every study
    if (page.attr('id') !== 'lookup') {
      content.prepend(button(page.attr('id'), $.mobile.pageData.uuid));
    }
    $('<p class="habitus-link"><a href="../habitus/index.html" data-ajax="false">Habitus: analyses and their state</a></p>')
      .prependTo(content);
  });
})();
